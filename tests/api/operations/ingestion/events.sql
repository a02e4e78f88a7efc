-- resends.find_events
select known.*
  from unnest($3::uuid[], $4::text[]) as sent (xid, event_id)
 cross join lateral (
       select e.xid, e.event_id, e.batch_id, e.ingested_at, e.document, e.is_redacted
         from gateway.event as e
        where e.sandbox_id = $1 and e.xid = sent.xid and e.dataset_id = $2 and e.event_id >= sent.event_id
        order by e.event_id
        limit 1
        for key share) as known
 where known.event_id = sent.event_id;
