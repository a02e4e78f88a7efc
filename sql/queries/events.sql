-- Events. Parts in braces depend on the request and are put together in domain/reading/events.py: conditions of filter and window, the order,
-- and the selected part of each document. Each identity's events are read by a LATERAL of their own, which stops after one page; the first ten
-- events of ten people with 20,000 each take 0.3 ms, and 230 ms where all of them are numbered.
--
-- `document || '{}'` decompresses the document once; every access to a compressed one would decompress it anew. It is applied to the
-- events of a page alone, after they are sorted.

-- name: read_events(sandbox_id, xids, dataset_ids, event_ids) -> rows
-- Read the events that exist of these. Walks event_pkey once for each.
select e.xid, e.dataset_id, e.event_id, e.batch_id, e.timestamp, e.event_type, e.document, e.ingested_at
  from unnest($2::uuid[], $3::uuid[], $4::text[]) as asked (xid, dataset_id, event_id)
  join gateway.event e
    on e.sandbox_id = $1 and e.xid = any($2::uuid[]) and e.xid = asked.xid and e.dataset_id = asked.dataset_id
   and e.event_id = asked.event_id;

-- name: list_events(sandbox_id, xids, size) -> rows
-- List the first events of each identity in the given order, or of all of them together if they are one list. Walks event_timeline_idx.
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
-- List events as `list_events` does, on Citus: LATERAL is driven from a table, each table has all keys, and no OFFSET is inside. Walks event_timeline_idx.
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
-- Count the events of each identity that pass a filter, for identities with at least one. Walks event_timeline_idx.
select e.xid, count(*)
  from gateway.event e
 where e.sandbox_id = $1 and e.xid = any($2::uuid[]) {where}
 group by e.xid;
