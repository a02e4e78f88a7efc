-- Events by their keys; lists of them are put together in domain/events.py.

-- name: read_events(sandbox_id, xids, dataset_ids, event_ids) -> rows
-- The existing ones of these events. Walks event_pkey once for each.
select e.xid, e.dataset_id, e.event_id, e.batch_id, e.timestamp, e.event_type, e.document, e.ingested_at
  from unnest($2::uuid[], $3::uuid[], $4::text[]) as asked (xid, dataset_id, event_id)
  join gateway.event e
    on e.sandbox_id = $1 and e.xid = any($2::uuid[]) and e.xid = asked.xid and e.dataset_id = asked.dataset_id
   and e.event_id = asked.event_id;
