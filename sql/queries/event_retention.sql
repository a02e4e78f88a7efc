-- Events that are older than their dataset keeps them, as a selection that is removed: those under some identities at a time. `before` is the
-- time before which an event of any dataset has expired; it bounds the walk of a timeline, and the dataset decides. A tie expires with the
-- last of its events.

-- name: read_expiry(sandbox_id) -> row
-- The time now, and the time before which events of some dataset have expired; null if all are kept for good. Reads the datasets.
select stamp as at,
       (select stamp - make_interval(hours => 24 * min(d.event_retention_days)) from gateway.dataset as d where d.sandbox_id = $1) as before
  from gateway.now() as stamp;

-- name: find_identities(sandbox_id, at, before, after, size) -> row
-- The last of so many identities after one, and those of them under which something has expired. Walks identity_pkey, and for each identity
-- event_timeline_idx, event_resend_pkey and tie_pkey.
with slice as materialized (
  select xid from gateway.identity where sandbox_id = $1 and xid > $4 order by xid limit $5
), kept as materialized (
  select dataset_id, $2::timestamptz - make_interval(hours => 24 * event_retention_days) as since
    from gateway.dataset
   where sandbox_id = $1 and event_retention_days is not null
), expired as materialized (
  select i.xid
    from gateway.identity as i
   where i.sandbox_id = $1 and i.xid = any(array(select xid from slice))
     and coalesce((select true
                     from gateway.event as e
                     join kept as d on d.dataset_id = e.dataset_id
                    where e.sandbox_id = $1 and e.xid = i.xid and e.timestamp < $3::timestamptz and e.timestamp < d.since
                    order by e.timestamp
                    limit 1),
                  (select true
                     from gateway.event_resend as r
                     join kept as d on d.dataset_id = r.dataset_id
                    where r.sandbox_id = $1 and r.xid = i.xid and r.timestamp < d.since
                    limit 1),
                  (select true
                     from gateway.tie as t
                     join kept as d on d.dataset_id = t.dataset_id
                    where t.sandbox_id = $1 and t.xid = i.xid and t.origin = i.xid and t.last_at < d.since
                    limit 1))
)
select (select xid from slice order by xid desc limit 1) as last, array(select xid from expired order by xid) as xids;

-- part: expired
-- The expired events `e` under these identities.
from gateway.event as e
  join gateway.dataset as d on d.sandbox_id = $1 and d.dataset_id = e.dataset_id
 where e.sandbox_id = $1 and e.xid = any($4::uuid[]) and e.timestamp < $3
   and e.timestamp < $2::timestamptz - make_interval(hours => 24 * d.event_retention_days)

-- name: count_facts(sandbox_id, at, before, xids) -> row
-- The number of expired events and resends under these identities. Walks event_timeline_idx and event_resend_pkey.
select (select count(*) {expired})
     + (select count(*)
          from gateway.event_resend as r
          join gateway.dataset as d on d.sandbox_id = $1 and d.dataset_id = r.dataset_id
         where r.sandbox_id = $1 and r.xid = any($4) and r.timestamp < $2::timestamptz - make_interval(hours => 24 * d.event_retention_days)) as events;

-- name: remove_resends(sandbox_id, at, before, xids, size) -> rows
-- Removes so many expired resends under these identities; no view tells of resends. Walks event_resend_pkey.
delete from gateway.event_resend as r
 using (select r.xid, r.dataset_id, r.event_id, r.batch_id, r.origin
          from gateway.event_resend as r
          join gateway.dataset as d on d.sandbox_id = $1 and d.dataset_id = r.dataset_id
         where r.sandbox_id = $1 and r.xid = any($4::uuid[]) and r.timestamp < $3
           and r.timestamp < $2::timestamptz - make_interval(hours => 24 * d.event_retention_days)
         limit $5) as o
 where r.sandbox_id = $1 and r.xid = o.xid and r.dataset_id = o.dataset_id and r.event_id = o.event_id
   and r.batch_id = o.batch_id and r.origin = o.origin
returning r.xid;

-- name: find_identities_with_events(sandbox_id, at, before, xids, size) -> rows
-- List those of these identities that have expired events: those of so many of them. Walks event_timeline_idx.
select distinct xid
  from (select e.xid {expired} limit $5) as found
 order by xid;

-- name: remove_events_concurrently(sandbox_id, at, before, xids, given, size) -> rows
-- Removes, of so many expired events under the given identities, in the order of these, those that were not sent again, as long as the identity of
-- each keeps another event or a fragment; events that a writer holds are passed over. Returns, for each identity and batch, how many went, and the
-- `_id`s that stay. Walks event_timeline_idx, event_resend_pkey, fragment_pkey and event_pkey.
with slice as materialized (
  select e.*
    from unnest($5::uuid[]) as asked (xid)
   cross join lateral (
         select e.ctid, e.xid, e.dataset_id, e.event_id, e.batch_id
           from gateway.event as e
           join gateway.dataset as d on d.sandbox_id = $1 and d.dataset_id = e.dataset_id
          where e.sandbox_id = $1 and e.xid = asked.xid and e.xid = any($4::uuid[]) and e.timestamp < $3
            and e.timestamp < $2::timestamptz - make_interval(hours => 24 * d.event_retention_days)
          limit $6
            for update of e skip locked) as e
   limit $6
), counted as materialized (
  {counted}
), decided as materialized (
  select c.ctid, c.xid, c.dataset_id, c.event_id, c.batch_id,
         not exists (select from gateway.event_resend as r
                      where r.sandbox_id = $1 and r.xid = c.xid and r.dataset_id = c.dataset_id and r.event_id = c.event_id)
         and (c.place > 1
              or exists (select from gateway.fragment as f where f.sandbox_id = $1 and f.xid = c.xid and not f.is_deleted)
              or (select count(*)
                    from (select from gateway.event as e where e.sandbox_id = $1 and e.xid = c.xid limit c.among + 1) as seen) > c.among) as goes
    from counted as c
), gone as (
  {gone}
)
{told};

-- part: staying_tie
-- Whether a tie of a member stays, as it has not expired. What is given is among the identities.
(select true
   from gateway.tie as t
   left join gateway.dataset as d on d.sandbox_id = $1 and d.dataset_id = t.dataset_id
  where t.sandbox_id = $1 and t.xid = m.xid and i.xid = any($5::uuid[])
    and (t.last_at >= $4
         or (t.last_at < $3::timestamptz - make_interval(hours => 24 * d.event_retention_days)) is not true)
  limit 1)

-- name: find_events(sandbox_id, at, before, xids, size) -> rows
-- List so many of the expired events under these identities. Walks event_timeline_idx.
select e.dataset_id, e.xid, e.event_id, e.batch_id
  {expired}
 limit $5;

-- name: find_ties(sandbox_id, at, before, xids, size) -> rows
-- List those of these identities whose events made ties that have expired: those of so many rows. Walks tie_pkey.
select distinct xid
  from (select t.xid
          from gateway.tie as t
          join gateway.dataset as d on d.sandbox_id = $1 and d.dataset_id = t.dataset_id
         where t.sandbox_id = $1 and t.xid = any($4::uuid[]) and t.origin = t.xid and t.last_at < $3
           and t.last_at < $2::timestamptz - make_interval(hours => 24 * d.event_retention_days)
         limit $5) as found;

-- name: remove_ties(sandbox_id, at, before, xids, origins) -> rows
-- Removes the expired ties that events of these origins among the identities made. Returns their members, and which is the origin. Walks tie_pkey.
with own as materialized (
  select distinct t.tie_id, t.batch_id, m.xid
    from gateway.tie as t
    join gateway.dataset as d on d.sandbox_id = $1 and d.dataset_id = t.dataset_id
   cross join unnest(t.xids) as m (xid)
   where t.sandbox_id = $1 and t.xid = any($4::uuid[]) and t.xid = any($5::uuid[]) and t.origin = t.xid and t.last_at < $3
     and t.last_at < $2::timestamptz - make_interval(hours => 24 * d.event_retention_days)
)
{gone_ties};
