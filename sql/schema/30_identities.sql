-- Which identities belong to one person.

-- A pointer. Its row says that some live fact names the identity; profile_id is null while no person has it, and value is null once erased.
create table gateway.identity (
  sandbox_id   bigint not null,
  xid          uuid not null,
  namespace_id integer not null,
  value        text,
  profile_id   uuid,                                                              -- no index: a person's members are in graph.xids
  degree_limit         smallint not null default 100,                                     -- with how many neighbours it may still join others: fewer in a crowd, 0 or -1 not at all
  erased_at    timestamptz,
  primary key (sandbox_id, xid)
);

-- The person: member list, lock and existence. It exists while a member has a fragment or an event.
create table gateway.graph (
  sandbox_id   bigint not null,
  profile_id   uuid not null,
  xids         uuid[] not null,                                                   -- canonical order: class of namespace, then xid
  identity_map json not null,                                                     -- rendered, so that a read need not fetch identities
  is_contested boolean not null default false,                                    -- a refused link or the cap touches it: changes resolve in full
  size         integer not null,                                                  -- true size, also past the cap
  primary key (sandbox_id, profile_id)
);

-- What one row said, one row per member. A batch's ties leave with the batch.
create table gateway.tie (
  sandbox_id   bigint not null,
  xid          uuid not null,
  tie_id       uuid not null,
  batch_id     uuid not null,                                                     -- the nil uuid: tied by hand
  dataset_id   uuid,
  origin       uuid not null,                                                     -- xid of the row's primary identity
  ingested_at  timestamptz not null,                                              -- with batch_id and ordinal: where the newest row that says so stands
  ordinal      bigint not null,
  xids         uuid[] not null,
  first_at     timestamptz not null,
  last_at      timestamptz not null,
  is_retracted boolean not null default false,                                    -- a later DELETE of the record took it back; lives again when that is reverted
  primary key (sandbox_id, xid, tie_id, batch_id)
);

create index tie_batch_idx on gateway.tie (sandbox_id, batch_id);

create table gateway.unlinked_pair (
  sandbox_id bigint not null,
  xid        uuid not null,                                                       -- one row per side
  other_xid  uuid not null,
  created_at timestamptz not null,
  primary key (sandbox_id, xid, other_xid)
);
