-- Events that are older than their dataset keeps them go by a job, and so do pseudonymous people, and stored refusals and warnings, which say when they came.

alter table gateway.job
  drop constraint job_kind_known,
  add constraint job_kind_known check (kind in ('MATERIALIZE_POLICY', 'REGROUP_IDENTITIES', 'ABORT_BATCH', 'EXPIRE_EVENTS', 'EXPIRE_PROFILES', 'EXPIRE_ERRORS', 'EXPIRE_CHANGES', 'COMPLETE_BATCHES', 'EXPIRE_JOBS'));

alter table gateway.ingest_error add column refused_at timestamptz;
update gateway.ingest_error as e
   set refused_at = coalesce(b.last_document_at, b.completed_at, b.created_at)
  from gateway.batch as b
 where b.sandbox_id = e.sandbox_id and b.batch_id = e.batch_id;
alter table gateway.ingest_error alter column refused_at set not null;
create index ingest_error_refused_idx on gateway.ingest_error (sandbox_id, refused_at);
