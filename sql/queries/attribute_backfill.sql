-- Reading the events of the past for computed attributes.

-- name: count_events(sandbox_id) -> value
-- Count the events of the sandbox. Walks event_pkey.
select count(*)
  from gateway.event
 where sandbox_id = $1;

-- name: list_xids(sandbox_id, after, size) -> rows
-- List the identities after this one, each with the number of its events. Walks identity_pkey and event_timeline_idx.
select i.xid, (select count(*) from gateway.event as e where e.sandbox_id = $1 and e.xid = i.xid) as events
  from gateway.identity as i
 where i.sandbox_id = $1 and i.xid > $2
 order by i.xid
 limit $3;
