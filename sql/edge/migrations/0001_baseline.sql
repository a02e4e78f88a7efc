-- The store of an edge as it was first made.
--
-- The store of an edge: what a hub delivers of people to one data centre, and what the edge wants of it.
--
-- Received, and replaced by each delivery; a hub connects as a role that may write these alone:
--
--   sandbox        whose people are here, how values of identities become keys, and up to when everything is here
--   namespace      how values of identities are normalized
--   api_key        hashes of the keys that open the sandbox
--   signing_key    public keys that verify tokens
--   revocation     hashes of what is revoked
--   configuration  which revision of each projection configuration is served
--   fill           which revision is filled beside it, and how far that is
--   projection     what one configuration says of one person
--   identity       whose each identity is, or that nobody has it
--
-- Asked: wanted, what the edge was asked for and does not have. Of the database itself: data_center, migration.
--
-- An identity is the keyed hash of a namespace and a value, by a key that the hub derives for this data centre, and a person is what only the
-- hub can read: whoever reads this database learns nothing of the keys of the hub or of another edge. Every key starts with sandbox_id.

create schema edge;

-- The files of sql/edge/migrations/ that this database has seen, as in the schema `gateway`.
create table edge.migration (
  name       text primary key,
  applied_at timestamptz not null default now()
);

-- Which data centre this is, and who may deliver to it: one row.
create table edge.data_center (
  code  text primary key constraint data_center_code_shape check (code ~ '^[A-Z]{2,3}[0-9]{1,2}$'),
  hub   text,                                                                     -- the deployment that delivers; null: none has yet
  fence bigint not null default 0                                                 -- grows with each projector that takes over; an earlier one is refused
);

create unique index data_center_is_one on edge.data_center ((true));

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

create table edge.revocation (
  sandbox_id bigint not null references edge.sandbox on delete cascade,
  token_hash bytea not null,                                                      -- of a token's id, or of the key that signed it
  expires_at timestamptz,
  primary key (sandbox_id, token_hash)
);

create table edge.configuration (
  sandbox_id         bigint not null references edge.sandbox on delete cascade,
  configuration_id   uuid not null,
  revision           bigint not null,                                             -- of the projections that are served
  name               text not null,
  replication_policy text not null constraint configuration_replication_policy_known check (replication_policy in ('PROACTIVE', 'REACTIVE')),
  ttl                integer not null,                                            -- seconds
  events_within      text,                                                        -- ISO duration; null: events do not grow too old
  confirmed_at       timestamptz,                                                 -- what the hub had committed up to then is served; null: not known
  primary key (sandbox_id, configuration_id)
);

-- Revisions that are filled beside the served one.
create table edge.fill (
  sandbox_id       bigint not null references edge.sandbox on delete cascade,
  configuration_id uuid not null,
  revision         bigint not null,
  filled_to        text,                                                          -- the hub's own; null: it has just begun
  done             bigint not null default 0,                                     -- people
  primary key (sandbox_id, configuration_id, revision)
);

-- What is served of people. No foreign key to the sandbox: millions of rows go with it in pieces.

create table edge.projection (
  sandbox_id       bigint not null,
  person           uuid not null,
  configuration_id uuid not null,
  revision         bigint not null,                                               -- those of a later revision are filled beside the ones that are served
  etag             text not null,                                                 -- of profile and events
  projected_at     timestamptz not null,                                          -- when the hub first found them like this
  delivered_at     timestamptz not null,                                          -- by this database's clock
  due              timestamptz,                                                   -- when the hub has to read them again, though nothing changes
  profile          text not null,                                                 -- JSON
  events           text[] not null,                                               -- JSON of each, newest first
  event_times      timestamptz[] not null,
  primary key (sandbox_id, person, configuration_id, revision)
) with (fillfactor = 90, toast_tuple_target = 4080);

create index projection_due_idx on edge.projection (sandbox_id, due) where due is not null;

-- Whose an identity is in one revision of a configuration: while the next one is filled, people may merge and split.
create table edge.identity (
  sandbox_id       bigint not null,
  identity         uuid not null,
  configuration_id uuid not null,
  revision         bigint not null,
  person           uuid,
  absent_until     timestamptz,                                                   -- nobody has it, as far as is known, up to then; infinity: erased
  primary key (sandbox_id, identity, configuration_id, revision),
  constraint identity_is_somebodys_or_absent check ((person is null) = (absent_until is not null))
) with (fillfactor = 90);

create index identity_person_idx on edge.identity (sandbox_id, person) where person is not null;
create index identity_absent_idx on edge.identity (absent_until) where absent_until < 'infinity';

-- What was asked for and is not here. The hub needs the value itself: it does not know the identity by the edge's key.
create table edge.wanted (
  sandbox_id       bigint not null,
  configuration_id uuid not null,
  identity         uuid not null,
  namespace_id     integer not null,
  value            text not null,                                                 -- normalized
  asked_at         timestamptz not null,
  primary key (sandbox_id, configuration_id, identity)
);

create index wanted_asked_idx on edge.wanted (asked_at);
