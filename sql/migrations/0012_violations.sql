-- A refused document is kept with every rule that it breaks, rules have a closed list of codes, and batches of all datasets are listed by time.

alter table gateway.ingest_error rename column path to paths;
alter table gateway.ingest_error rename column code to codes;
alter table gateway.ingest_error rename column message to messages;
update gateway.ingest_error set paths = '$' where paths is null;
alter table gateway.ingest_error
  alter column paths type text[] using array[paths],
  alter column codes type text[] using array[codes],
  alter column messages type text[] using array[messages],
  alter column paths set not null,
  add constraint ingest_error_codes_known check (codes <@ array[
    'JSON', 'SIZE', 'DEPTH', 'CHARACTER', 'TYPE', 'FORMAT', 'PATTERN', 'ENUM', 'RANGE', 'LENGTH',
    'REQUIRED', 'UNKNOWN_FIELD', 'EMPTY_VALUE', 'IDENTITY_MISSING', 'IDENTITY_COUNT',
    'IDENTITY_NAMESPACE', 'IDENTITY_VALUE', 'IDENTITY_PRIMARY', 'IDENTITY_PLACEHOLDER',
    'IDENTITY_E164', 'IDENTITY_CAP', 'FUTURE_TIME', 'EXPIRED', 'EVENT_DIFFERS', 'UNSTORABLE']);
alter table gateway.ingestion_warning
  add constraint ingestion_warning_code_known check (code in (
    'JSON', 'SIZE', 'DEPTH', 'CHARACTER', 'TYPE', 'FORMAT', 'PATTERN', 'ENUM', 'RANGE', 'LENGTH',
    'REQUIRED', 'UNKNOWN_FIELD', 'EMPTY_VALUE', 'IDENTITY_MISSING', 'IDENTITY_COUNT',
    'IDENTITY_NAMESPACE', 'IDENTITY_VALUE', 'IDENTITY_PRIMARY', 'IDENTITY_PLACEHOLDER',
    'IDENTITY_E164', 'IDENTITY_CAP', 'FUTURE_TIME', 'EXPIRED', 'EVENT_DIFFERS', 'UNSTORABLE'));
create index batch_created_idx on gateway.batch (sandbox_id, created_at, batch_id);
