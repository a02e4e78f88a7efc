-- Reading the events of the past for computed attributes.

-- name: count_events(sandbox_id, since) -> value
-- Count the events of the sandbox from a time on. Walks event_timeline_idx.
select count(*)
  from gateway.event
 where sandbox_id = $1 and timestamp >= $2;

-- name: list_xids(sandbox_id, after, since, size, most) -> rows
-- List the identities after this one, each with the number of its events from a time on, counted up to `most`. Walks identity_pkey and
-- event_timeline_idx.
select i.xid, case when i.has_events
                   then (select count(*)
                           from (select from gateway.event as e where e.sandbox_id = $1 and e.xid = i.xid and e.timestamp >= $3 limit $5) as e)
                   else 0 end as events
  from gateway.identity as i
 where i.sandbox_id = $1 and i.xid > $2
 order by i.xid
 limit $4;

-- name: find_end(sandbox_id, xid, since, size) -> value
-- The time of the event that comes so many places behind the first one of an identity from a time on; none if there is no such event. Walks
-- event_timeline_idx.
select timestamp
  from gateway.event
 where sandbox_id = $1 and xid = $2 and timestamp >= $3
 order by timestamp
offset $4
 limit 1;
