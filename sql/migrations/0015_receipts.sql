-- Jobs delete datasets and batches, revert batches, and keep a receipt of what went from each store.

alter table gateway.job
  drop constraint job_kind_known,
  add constraint job_kind_known check (kind in ('MATERIALIZE_POLICY', 'REGROUP_IDENTITIES', 'ABORT_BATCH', 'EXPIRE_EVENTS', 'EXPIRE_PROFILES', 'EXPIRE_ERRORS', 'EXPIRE_CHANGES', 'COMPLETE_BATCHES', 'EXPIRE_JOBS', 'DELETE_DATASET', 'DELETE_BATCH', 'REVERT_BATCH')),
  add column receipt json;

alter table gateway.dataset
  add column status text not null default 'ACTIVE' constraint dataset_status_known check (status in ('ACTIVE', 'DELETING'));
