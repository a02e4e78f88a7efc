-- The database of the profile gateway.
--
-- Facts are kept; profiles are views. Facts are appended and leave only when a batch is reverted or a delete job runs:
--
--   record         every version of a record, with its input and its mode       key (sandbox, xid, dataset, ordinal)
--   event          one thing that happened, deduplicated by the sender's _id    key (sandbox, xid, dataset, event_id)
--   event_resend   that another batch sent a stored event again
--   tie            the identities that one document named together              one row per member
--   unlinked_pair  pairs of identities that somebody unlinked by hand
--
-- Views are pure functions of the live facts and the configuration; `gateway verify` rebuilds them and compares:
--
--   identity       xid -> namespace, value, and the person that it belongs to
--   graph          the person: its xids, its lock, its existence
--   fragment       what one record says now: its last version, or the fold of several
--   profile        the merged document, for policies that are materialized
--   computed_partial  what computed attributes make of an identity's events, by time
--   kept_value     values of computed attributes that searches read
--   change         the journal of what happened to people; kept for some days, never rebuilt
--
-- Configuration: organization, sandbox, api_key, namespace, identity_settings, xdm_schema, dataset, batch, merge_policy, search_index,
-- computed_attribute, kept_attribute, projection_destination, projection_configuration, preview_report, ingest_error, ingestion_warning, audit_entry, revocation, signing_key. Work: job, export_person,
-- export_identity, export_file, delivery, configuration_delivery, withdrawn_projection. Of the database itself: migration, data_center.
--
-- An xid is a keyed hash of (sandbox, namespace, value) made in Python. Facts are stored under the xid of their own primary
-- identity and never move; a merge of people touches pointers only. Every key starts with sandbox_id. No table is partitioned: docs/internals.md
-- tells what that would gain, and what it costs.

create schema gateway;

-- Time is an input: tests set gateway.now; without it, this is the clock.
create function gateway.now() returns timestamptz
  language sql volatile parallel safe
  return coalesce(nullif(current_setting('gateway.now', true), '')::timestamptz, clock_timestamp());

-- The files of sql/migrations/ that this database has seen, by their names without `.sql`; the greatest is its version. A new database is
-- made from sql/schema/ and starts with all of them: both ways give the same tables, as a test checks. No rows: as in 0001_baseline.
create table gateway.migration (
  name       text primary key,
  applied_at timestamptz not null default now()
);
