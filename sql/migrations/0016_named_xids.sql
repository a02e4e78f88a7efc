-- Refused documents and samples of warnings are found by the identities that they name; what earlier releases kept may name anybody, and goes.

alter table gateway.ingest_error add column xids uuid[] not null default '{}';
alter table gateway.ingestion_warning add column xids uuid[] not null default '{}';
create index ingest_error_xids_idx on gateway.ingest_error using gin (xids);

update gateway.ingest_error
   set document = null, messages = array_fill('An earlier release refused this document; the code says why.'::text, array[cardinality(messages)]);
update gateway.ingestion_warning set sample = null;
