-- What the edge knows of sandboxes. Each row comes from a hub.

create table edge.sandbox (
  sandbox_id       bigint primary key,
  organization_id  uuid not null,
  name             text not null,
  is_default       boolean not null,
  key              bytea not null constraint sandbox_key_size check (length(key) = 32),
  text_rules       smallint not null,
  settings_version bigint not null,                                               -- the transaction that last delivered this row or one of the tables below
  digest           text not null,                                                 -- the hub's own, of what it delivered of these
  cursor           text,                                                          -- the hub's own: up to where it delivered the changes of people
  heard_at         timestamptz                                                    -- when it last did so, by this database's clock; null: not yet
);

create table edge.namespace (
  sandbox_id    bigint not null references edge.sandbox on delete cascade,
  namespace_id  integer not null,
  code          text not null,
  normalization text not null,
  primary key (sandbox_id, namespace_id)
);

create table edge.api_key (
  sandbox_id bigint not null references edge.sandbox on delete cascade,
  key_hash   bytea not null,
  expires_at timestamptz,
  primary key (sandbox_id, key_hash)
);

create table edge.signing_key (
  sandbox_id bigint not null references edge.sandbox on delete cascade,
  key_id     text not null,
  public_key bytea not null constraint signing_key_size check (length(public_key) = 32),   -- of Ed25519
  primary key (sandbox_id, key_id)
);

create table edge.issuer (
  sandbox_id bigint not null references edge.sandbox on delete cascade,
  issuer     text not null,
  audience   text not null,
  algorithms text[] not null,                                                     -- of those, one has to have signed a token
  leeway     float8 not null,                                                     -- seconds by which its clock may differ
  keys       text,                                                                -- a JSON Web Key Set of public keys; null: not known yet
  primary key (sandbox_id, issuer)
);

create table edge.revocation (
  sandbox_id bigint not null references edge.sandbox on delete cascade,
  token_hash bytea not null,                                                      -- of a token's id, or of the key that signed it
  expires_at timestamptz,
  primary key (sandbox_id, token_hash)
);

create table edge.configuration (
  sandbox_id         bigint not null references edge.sandbox on delete cascade,
  configuration_id   uuid not null,
  edition            bigint not null,                                             -- of the projections that are served
  name               text not null,
  replication_policy text not null constraint configuration_replication_policy_known check (replication_policy in ('PROACTIVE', 'REACTIVE')),
  ttl                integer not null,                                            -- seconds
  events_within      text,                                                        -- ISO duration; null: events do not grow too old
  confirmed_at       timestamptz,                                                 -- what the hub had committed up to then is served; null: not known
  settings_version   bigint not null,                                             -- that of the sandbox: look-ups read this row alone
  primary key (sandbox_id, configuration_id)
);

-- Editions that are filled beside the served one.
create table edge.fill (
  sandbox_id       bigint not null references edge.sandbox on delete cascade,
  configuration_id uuid not null,
  edition          bigint not null,
  filled_to        text,                                                          -- the hub's own; null: it has just begun
  done             bigint not null default 0,                                     -- people
  primary key (sandbox_id, configuration_id, edition)
);
