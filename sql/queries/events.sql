-- Events. What depends on what is asked for is put together in domain/reading/events.py: conditions of a filter and a window, the order, and as
-- much as is wanted of each document. Each identity's events are read by a LATERAL of their own, which stops after one page, instead of
-- numbering all of them: of ten people with 20,000 events each, the first ten took 0.3 ms against 230 ms.
--
-- `document || '{}'` is the document, but once unpacked: each look into one that lies compressed would unpack it anew. It is done to the
-- events of a page alone, not to those that are sorted for it.

-- name: read_events(sandbox_id, xids, dataset_ids, event_ids) -> rows
-- The existing ones of these events. Walks event_pkey once for each.
select e.xid, e.dataset_id, e.event_id, e.batch_id, e.timestamp, e.event_type, e.document, e.ingested_at
  from unnest($2::uuid[], $3::uuid[], $4::text[]) as asked (xid, dataset_id, event_id)
  join gateway.event e
    on e.sandbox_id = $1 and e.xid = any($2::uuid[]) and e.xid = asked.xid and e.dataset_id = asked.dataset_id
   and e.event_id = asked.event_id;

-- name: list_events(sandbox_id, xids, size) -> rows
-- The nearest events of each identity, or of all of them together if they are one list. Walks event_timeline_idx.
select e.xid, e.dataset_id, e.event_id, e.batch_id, e.timestamp, e.event_type, {text} as text, e.ingested_at, {entity} as entity
  from unnest($2::uuid[]) asked (xid)
 cross join lateral (
         select e.xid, e.dataset_id, e.event_id, e.batch_id, e.timestamp, e.event_type, e.document, e.ingested_at
           from gateway.event e
          where e.sandbox_id = $1 and e.xid = asked.xid {where}
          order by e.{time} {direction}, e.event_id {direction}, e.dataset_id {direction}
          limit $3) e
 cross join lateral (select e.document || '{}' as document offset 0) unpacked
 {together};

-- name: list_events_of_cluster(sandbox_id, xids, size) -> rows
-- The same where LATERAL must be driven from a table, each table be told all keys, and nothing inside be an OFFSET. Walks event_timeline_idx.
select e.xid, e.dataset_id, e.event_id, e.batch_id, e.timestamp, e.event_type, {text} as text, e.ingested_at, {entity} as entity
  from gateway.identity i
 cross join lateral (
         select e.xid, e.dataset_id, e.event_id, e.batch_id, e.timestamp, e.event_type, e.document, e.ingested_at
           from gateway.event e
          where e.sandbox_id = $1 and e.xid = any($2::uuid[]) and e.xid = i.xid {where}
          order by e.{time} {direction}, e.event_id {direction}, e.dataset_id {direction}
          limit $3) e
 where i.sandbox_id = $1 and i.xid = any($2::uuid[])
 {together};

-- name: count_events(sandbox_id, xids) -> rows
-- How many events of each identity pass a filter, for those that have one. Walks event_timeline_idx.
select e.xid, count(*)
  from gateway.event e
 where e.sandbox_id = $1 and e.xid = any($2::uuid[]) {where}
 group by e.xid;
