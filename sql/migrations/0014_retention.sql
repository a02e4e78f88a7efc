-- Events that are older than their dataset keeps them go by a job.

alter table gateway.job
  drop constraint job_kind_known,
  add constraint job_kind_known check (kind in ('MATERIALIZE_POLICY', 'REGROUP_IDENTITIES', 'ABORT_BATCH', 'EXPIRE_EVENTS', 'EXPIRE_CHANGES', 'COMPLETE_BATCHES', 'EXPIRE_JOBS'));
