-- A log of who changed what.

create table gateway.audit_entry (
  entry_id        bigint generated always as identity primary key,
  organization_id uuid not null references gateway.organization on delete cascade,
  sandbox_id      bigint,
  actor           text not null,
  api_key_id      uuid,
  action          text not null,
  subject_type    text not null,
  subject_key     text[] not null,
  before          json,
  after           json,
  correlation_id  text,
  at              timestamptz not null
);

create index audit_entry_at_idx on gateway.audit_entry (organization_id, at, entry_id);
create index audit_entry_subject_idx on gateway.audit_entry (organization_id, subject_type, subject_key, at, entry_id);
