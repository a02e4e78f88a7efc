-- Reading the events of the past for computed attributes.

-- name: list_xids(sandbox_id, after, size) -> rows
-- List the identities after this one, and whether they may have events. Walks identity_pkey.
select xid, has_events
  from gateway.identity
 where sandbox_id = $1 and xid > $2
 order by xid
 limit $3;

-- name: find_end(sandbox_id, xid, since, size) -> value
-- The time of the event that comes so many places behind the first one of an identity from a time on; none if there is no such event. Walks
-- event_timeline_idx.
select timestamp
  from gateway.event
 where sandbox_id = $1 and xid = $2 and timestamp >= $3
 order by timestamp
offset $4
 limit 1;
