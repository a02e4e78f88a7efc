-- Pseudonymous people who expire: those all of whose identities are of the sandbox's pseudonymous namespaces, and about whom nothing has come
-- in for some time. They go whole.

-- name: read_expiry(sandbox_id) -> row
-- The pseudonymous namespaces, and the time since which something came in about those who stay; no row where everybody stays. Walks
-- sandbox_pkey.
select expiry_namespaces as namespaces, stamp - make_interval(hours => 24 * expiry_days) as since
  from gateway.sandbox, gateway.now() as stamp
 where sandbox_id = $1 and expiry_days is not null;

-- name: list_expired(sandbox_id, namespaces, since, profile_ids) -> rows
-- List the people among these who have expired, with their identities. Walks graph_pkey, and for each identity identity_pkey, record_pkey,
-- event_resend_pkey and event_pkey.
with asked as materialized (
  select profile_id, xids from gateway.graph where sandbox_id = $1 and profile_id = any($4::uuid[])
), staying as materialized (
  select i.xid
    from gateway.identity as i
   where i.sandbox_id = $1 and i.xid = any(array(select m.xid from asked cross join unnest(xids) as m (xid)))
     and coalesce(nullif(i.namespace_id <> all($2::integer[]), false),
                  (select true from gateway.record as r where r.sandbox_id = $1 and r.xid = i.xid and r.ingested_at >= $3::timestamptz limit 1),
                  (select true from gateway.event_resend as r where r.sandbox_id = $1 and r.xid = i.xid and r.ingested_at >= $3 limit 1),
                  (select true from gateway.event as e where e.sandbox_id = $1 and e.xid = i.xid and e.ingested_at >= $3 limit 1))
)
select profile_id, xids
  from asked
 where not xids && array(select xid from staying)
 order by profile_id;

-- name: remove_resends(sandbox_id, xids) -> rows
-- Removes the resends of events under these identities. Returns the identity of each. Walks event_resend_pkey.
delete from gateway.event_resend where sandbox_id = $1 and xid = any($2::uuid[]) returning xid;

-- name: remove_events(sandbox_id, xids) -> rows
-- Removes the events under these identities. Returns how many went from each identity and batch. Walks event_timeline_idx.
with gone as (
  delete from gateway.event where sandbox_id = $1 and xid = any($2::uuid[]) returning xid, batch_id
)
select xid, batch_id, count(*) as count from gone group by xid, batch_id;

-- name: remove_records(sandbox_id, xids) -> rows
-- Removes the versions of the records under these identities. Returns how many went from each record and batch. Walks record_pkey.
with gone as (
  delete from gateway.record where sandbox_id = $1 and xid = any($2::uuid[]) returning xid, dataset_id, batch_id
)
select xid, dataset_id, batch_id, count(*) as count from gone group by xid, dataset_id, batch_id;

-- name: remove_ties(sandbox_id, xids) -> rows
-- Removes the ties that documents of these identities made. Returns their members, and which of them made it. Walks tie_pkey.
with own as materialized (
  select distinct t.tie_id, t.batch_id, m.xid
    from gateway.tie as t
   cross join unnest(t.xids) as m (xid)
   where t.sandbox_id = $1 and t.xid = any($2::uuid[]) and t.origin = t.xid
)
{gone_ties};
