-- Identities, and the people that they belong to. A lookup for each identity has no `any` on its key: Postgres would sort the array anew for
-- each, which made a thousand lookups ten times slower.

-- part: identity
-- The identity `i` under which something is stored.
from gateway.identity i
 where i.sandbox_id = $1 and i.xid = {owner}.xid

-- part: namespace
-- The namespace `n` of an identity.
from gateway.namespace n
 where n.sandbox_id = $1 and n.namespace_id = {owner}.namespace_id

-- part: is_primary
-- Whether a live fragment or an event is stored under an identity. `among`: see `distribution.AMONG`.
coalesce((select true from gateway.fragment f where f.sandbox_id = $1 and f.xid = {identity}.xid{among} and not f.is_deleted limit 1),
         (select true from gateway.event e where e.sandbox_id = $1 and e.xid = {identity}.xid{among} limit 1), false)

-- part: first_at
-- The first time of the facts about an identity: deleted and retracted ones count only where no other is left.
coalesce(least(r.first_at, e.first_at, t.first_at), least(r.ever_first_at, t.ever_first_at))

-- part: last_at
-- The last time of the facts about an identity, in the same way.
coalesce(greatest(r.last_at, e.last_at, t.last_at), greatest(r.ever_last_at, t.ever_last_at))

-- part: sightings
-- The times of facts about an identity: versions of its records `r`, by the time of their source, and those that they stand for; its events
-- `e`; and ties `t` that name it.
cross join lateral (
         select min(v.first_at) filter (where not v.is_deleted) as first_at, max(v.last_at) filter (where not v.is_deleted) as last_at,
                min(v.first_at) as ever_first_at, max(v.last_at) as ever_last_at
           from (select least(r.observed_at, r.ingested_at, r.first_at) as first_at,
                        greatest(least(r.observed_at, r.ingested_at), r.last_at) as last_at,
                        bool_or(r.mode = 'DELETE') over (
                          partition by r.dataset_id order by r.ingested_at desc, r.batch_id desc, r.ordinal desc) as is_deleted
                   from gateway.record r
                  where r.sandbox_id = $1 and r.xid = {identity}.xid{among}) v) r
 cross join lateral (
         select min(e.timestamp) as first_at, max(e.timestamp) as last_at
           from gateway.event e
          where e.sandbox_id = $1 and e.xid = {identity}.xid{among}) e
 cross join lateral (
         select min(t.first_at) filter (where not t.is_retracted) as first_at, max(t.last_at) filter (where not t.is_retracted) as last_at,
                min(t.first_at) as ever_first_at, max(t.last_at) as ever_last_at
           from gateway.tie t
          where t.sandbox_id = $1 and t.xid = {identity}.xid{among}) t

-- part: is_any
-- Whether an xid is among those asked for.
= any($2::uuid[])

-- part: is_one
-- Whether an xid is the one asked for: a cluster plans this in a bit more than half the time, as it need not look into values.
= $2::uuid

-- name: read_identities(sandbox_id, xids) -> rows
-- Read the stored ones of these identities. Tombstones of erased ones have a null value. Walks identity_pkey.
select xid, namespace_id, value, profile_id
  from gateway.identity
 where sandbox_id = $1 and xid {is_asked};

-- name: read_primaries(sandbox_id, xids) -> rows
-- List the identities among these with a live fragment or an event. Walks identity_pkey, then fragment_pkey and event_timeline_idx.
select i.xid
  from gateway.identity i
 where i.sandbox_id = $1 and i.xid = any($2::uuid[])
   and {is_primary};

-- name: read_sightings(sandbox_id, xids) -> rows
-- Read the first and the last time of facts about each identity. Walks record_pkey, the ends of event_timeline_idx, and tie_pkey.
select i.xid,
       {first_at} as first_at,
       {last_at} as last_at
  from gateway.identity i
 {sightings}
 where i.sandbox_id = $1 and i.xid = any($2::uuid[]);
