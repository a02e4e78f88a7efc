-- events.read_events
select e.xid, e.dataset_id, e.event_id, e.batch_id, e.timestamp, e.event_type, e.ingested_at, e.document as text
  from unnest($2::uuid[], $3::uuid[], $4::text[]) as asked (xid, dataset_id, event_id)
  join gateway.event e
    on e.sandbox_id = $1 and e.xid = any($2::uuid[]) and e.xid = asked.xid and e.dataset_id = asked.dataset_id
   and e.event_id = asked.event_id;
