-- People are erased by a job: of their identities rows without a value stay, which refuse what is sent about them again.

alter table gateway.job
  drop constraint job_kind_known,
  add constraint job_kind_known check (kind in ('MATERIALIZE_POLICY', 'REGROUP_IDENTITIES', 'ABORT_BATCH', 'EXPIRE_EVENTS', 'EXPIRE_PROFILES', 'EXPIRE_ERRORS', 'EXPIRE_CHANGES', 'COMPLETE_BATCHES', 'EXPIRE_JOBS', 'DELETE_DATASET', 'DELETE_BATCH', 'REVERT_BATCH', 'EXPIRE_VERSIONS', 'DELETE_PROFILE'));

alter table gateway.identity
  add column erased_by     uuid,
  add column refused_count bigint;
create index identity_erased_idx on gateway.identity (sandbox_id, erased_at, xid) where erased_at is not null;

alter table gateway.ingest_error
  drop constraint ingest_error_codes_known,
  add constraint ingest_error_codes_known check (codes <@ array[
               'JSON', 'SIZE', 'DEPTH', 'CHARACTER', 'TYPE', 'FORMAT', 'PATTERN', 'ENUM', 'RANGE', 'LENGTH',
               'REQUIRED', 'UNKNOWN_FIELD', 'EMPTY_VALUE', 'IDENTITY_MISSING', 'IDENTITY_COUNT',
               'IDENTITY_NAMESPACE', 'IDENTITY_VALUE', 'IDENTITY_PRIMARY', 'IDENTITY_PLACEHOLDER',
               'IDENTITY_E164', 'IDENTITY_CAP', 'FUTURE_TIME', 'EXPIRED', 'EVENT_DIFFERS', 'UNSTORABLE', 'ERASED_IDENTITY']);

alter table gateway.ingestion_warning
  drop constraint ingestion_warning_code_known,
  add constraint ingestion_warning_code_known check (code in (
                  'JSON', 'SIZE', 'DEPTH', 'CHARACTER', 'TYPE', 'FORMAT', 'PATTERN', 'ENUM', 'RANGE', 'LENGTH',
                  'REQUIRED', 'UNKNOWN_FIELD', 'EMPTY_VALUE', 'IDENTITY_MISSING', 'IDENTITY_COUNT',
                  'IDENTITY_NAMESPACE', 'IDENTITY_VALUE', 'IDENTITY_PRIMARY', 'IDENTITY_PLACEHOLDER',
                  'IDENTITY_E164', 'IDENTITY_CAP', 'FUTURE_TIME', 'EXPIRED', 'EVENT_DIFFERS', 'UNSTORABLE', 'ERASED_IDENTITY'));
