-- Organizations, their sandboxes, and their API keys. Nothing crosses a sandbox.

create table gateway.organization (
  organization_id uuid primary key,
  code            text not null constraint organization_code_key unique           -- custom fields live under _{code}
                  constraint organization_code_shape check (code ~ '^[a-z][a-z0-9]{0,31}$'),
  name            text not null,
  created_at      timestamptz not null
);

create table gateway.sandbox (
  sandbox_id      bigint generated always as identity primary key,                -- short, since it starts every key
  organization_id uuid not null references gateway.organization on delete cascade,
  name            text not null constraint sandbox_name_shape check (name ~ '^[a-z][a-z0-9-]{0,63}$'),
  title           text,
  type            text not null constraint sandbox_type_known check (type in ('PRODUCTION', 'DEVELOPMENT')),
  is_default      boolean not null,
  secret          bytea not null constraint sandbox_secret_size check (length(secret) = 32),   -- key of the xid hash; never leaves the server
  config_version  bigint not null default 1,                                      -- grows with every change of configuration; caches compare it
  created_at      timestamptz not null,
  text_rules      smallint not null constraint sandbox_text_rules_known check (text_rules in (1, 2)),   -- version of the rules that normalize its identities; fixed once there are any
  journal_since   timestamptz not null default gateway.now(),                     -- rows of the journal from then on are kept; a new one begins with each reset
  version         integer not null default 1,                                     -- of title and expiry; config_version counts everything
  updated_at      timestamptz not null,
  created_by      text,                                                           -- the actor, here and below; null: unknown, or made with its sandbox
  expiry_days     integer,                                                        -- of people whose namespaces are all among the next; null: never
  expiry_namespaces integer[],
  constraint sandbox_name_key unique (organization_id, name)
);

create unique index sandbox_default_key on gateway.sandbox (organization_id) where is_default;

create table gateway.api_key (
  key_hash        bytea primary key,                                              -- SHA-256 of the key; the key itself is shown once
  organization_id uuid not null references gateway.organization on delete cascade,
  name            text not null,
  created_at      timestamptz not null,
  revoked_at      timestamptz,
  api_key_id      uuid not null constraint api_key_id_key unique,
  prefix          text not null,                                                  -- the key's first characters, to tell it by; empty for keys of older releases
  sandboxes       bigint[],                                                       -- all that it opens, deleted ones included; null: every one of the organization
  expires_at      timestamptz,
  created_by      text,
  last_used_at    timestamptz                                                     -- to the hour
);

create index api_key_created_idx on gateway.api_key (organization_id, created_at, api_key_id);

-- What makes a token invalid before it expires: the hash of its own id, or of the key that signed it.
create table gateway.revocation (
  token_hash      bytea primary key,
  organization_id uuid not null references gateway.organization on delete cascade,
  revoked_at      timestamptz not null,
  expires_at      timestamptz                                                     -- of the token, which is invalid by itself from then on; null: unknown
);

create index revocation_organization_idx on gateway.revocation (organization_id, expires_at);

-- The public keys of the secrets that sign our tokens, which stay in data directories. Edges get them.
create table gateway.signing_key (
  key_id     text primary key,                                                    -- names the key in the header of its tokens
  public_key bytea not null constraint signing_key_public_key_size check (length(public_key) = 32),
  created_at timestamptz not null
);

-- Who changed what, written in the transaction of the change. No foreign key to the sandbox: an entry outlives what it is about.
create table gateway.audit_entry (
  entry_id        bigint generated always as identity,
  organization_id uuid not null references gateway.organization on delete cascade,
  sandbox_id      bigint,                                                         -- null: it concerns the organization
  actor           text not null,
  api_key_id      uuid,                                                           -- null: a command or a job
  action          text not null,                                                  -- name of the mutation, or of the command's verb in its style
  subject_type    text not null,                                                  -- name of a type of the API, with
  subject_key     text[] not null,                                                -- the parts of a global id; empty for what has none
  before          json,                                                           -- null: it did not exist
  after           json,                                                           -- null: it is gone
  correlation_id  text,                                                           -- of the request or the job
  at              timestamptz not null,
  primary key (organization_id, entry_id)
);

create index audit_entry_at_idx on gateway.audit_entry (organization_id, at, entry_id);
create index audit_entry_subject_idx on gateway.audit_entry (organization_id, subject_type, subject_key, at, entry_id);
