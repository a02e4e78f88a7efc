-- Versions of records that nothing needs any more go, once the batches that superseded them can be reverted no longer.

alter table gateway.job
  drop constraint job_kind_known,
  add constraint job_kind_known check (kind in ('MATERIALIZE_POLICY', 'REGROUP_IDENTITIES', 'ABORT_BATCH', 'EXPIRE_EVENTS', 'EXPIRE_PROFILES', 'EXPIRE_ERRORS', 'EXPIRE_CHANGES', 'COMPLETE_BATCHES', 'EXPIRE_JOBS', 'DELETE_DATASET', 'DELETE_BATCH', 'REVERT_BATCH', 'EXPIRE_VERSIONS'));

alter table gateway.batch add column settled_at timestamptz;

alter table gateway.record add column first_at timestamptz, add column last_at timestamptz;
