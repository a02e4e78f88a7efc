-- A log of who changed what; API keys have ids, sandboxes and an end; tokens can be revoked.

alter table gateway.api_key
  add column api_key_id uuid not null constraint api_key_id_key unique default gen_random_uuid(),
  add column prefix text not null default '',
  add column sandboxes bigint[],
  add column expires_at timestamptz,
  add column created_by text,
  add column last_used_at timestamptz;
alter table gateway.api_key alter column api_key_id drop default, alter column prefix drop default;

create index api_key_created_idx on gateway.api_key (organization_id, created_at, api_key_id);

create table gateway.revocation (
  token_hash      bytea primary key,
  organization_id uuid not null references gateway.organization on delete cascade,
  revoked_at      timestamptz not null,
  expires_at      timestamptz
);

create index revocation_organization_idx on gateway.revocation (organization_id, expires_at);

create table gateway.audit_entry (
  entry_id        bigint generated always as identity,
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
  at              timestamptz not null,
  primary key (organization_id, entry_id)
);

create index audit_entry_at_idx on gateway.audit_entry (organization_id, at, entry_id);
create index audit_entry_subject_idx on gateway.audit_entry (organization_id, subject_type, subject_key, at, entry_id);
