-- Identities, and the persons that they belong to.

-- An identity that some fact names, and the person that it points to: null while it has none. Of an erased one the row stays when nothing names
-- it any more, without its value: it refuses what is sent about it. One that is used again has a value beside erased_at.
create table gateway.identity (
  sandbox_id   bigint not null,
  xid          uuid not null,
  namespace_id integer not null,
  value        text,
  profile_id   uuid,                                                              -- no index: a person's members are in graph.xids
  degree_limit smallint not null default 100,                                     -- most neighbours that it may have and join others: lower in a large component; 0, -1: it joins nobody
  erased_at    timestamptz,
  erased_by    uuid,                                                              -- the job that erased it
  erased_with  uuid,                                                              -- an identity of its person: what one job erased of one person has the same
  refused_count bigint,                                                           -- documents under it that were refused since; null: none
  has_events   boolean not null default false,                                    -- never false while events are stored under it; may be true once they are gone
  primary key (sandbox_id, xid)
) with (fillfactor = 90);

create index identity_erased_idx on gateway.identity (sandbox_id, erased_at, xid) where erased_at is not null;

-- The person: its members, its lock and its existence. It exists while a member has a fragment or an event.
create table gateway.graph (
  sandbox_id   bigint not null,
  profile_id   uuid not null,
  xids         uuid[] not null,                                                   -- canonical order: by type of namespace, then xid
  identity_map json not null,                                                     -- rendered, so that a read fetches no identities
  is_contested boolean not null default false,                                    -- a refused link or the cap touches it: a change needs a full rebuild
  size         integer not null,                                                  -- true number of members, beyond the cap too
  event_xids   uuid[] not null,                                                   -- those of xids that have events, in no order: reads look under no others
  primary key (sandbox_id, profile_id)
) with (fillfactor = 75);

-- The identities that one document named together, with a row per member. Ties are removed with their batch.
create table gateway.tie (
  sandbox_id   bigint not null,
  xid          uuid not null,
  tie_id       uuid not null,
  batch_id     uuid not null,                                                     -- nil: tied by hand
  dataset_id   uuid,
  origin       uuid not null,                                                     -- xid of the document's primary identity
  ingested_at  timestamptz not null,                                              -- with batch_id and ordinal: the place of the newest document that says so
  ordinal      bigint not null,
  xids         uuid[] not null,
  first_at     timestamptz not null,
  last_at      timestamptz not null,
  is_retracted boolean not null default false,                                    -- a later DELETE of the record retracted it; live again if that is removed
  primary key (sandbox_id, xid, tie_id, batch_id)
);

create index tie_batch_idx on gateway.tie (sandbox_id, batch_id);

-- Two identities that somebody unlinked by hand: no direct link joins them.
create table gateway.unlinked_pair (
  sandbox_id bigint not null,
  xid        uuid not null,                                                       -- one row per side
  other_xid  uuid not null,
  created_at timestamptz not null,
  primary key (sandbox_id, xid, other_xid)
);
