-- Events. `{columns}` are what is read of each, or of a person's events together; conditions and orders depend on the request, too, and are
-- put together by projection/. Each identity's events are read by a LATERAL of their own, which stops after one page; the first ten
-- events of ten people with 20,000 each take 0.3 ms, and 230 ms where all of them are numbered.

-- part: page
-- The events `e` of a person, of whom `{members}` are the xids, nearest first.
from (select e.*
          from unnest({members}) member (xid)
         cross join lateral (
                 select {carried}
                   from gateway.event e
                  where e.sandbox_id = $1 and e.xid = member.xid {where}
                  order by {nearest}) e
         order by {order}
         limit {size}) e
 {unpacked}

-- part: unpacked
-- The documents of a page, decompressed once, after they are sorted: every access to a compressed one would decompress it anew.
cross join lateral (select e.document || '{}' as document offset 0) unpacked

-- part: count
-- All events of a person.
from gateway.event e
 where e.sandbox_id = $1 and e.xid = any({members}) {where}

-- part: dataset
-- The dataset `d` that something was sent to.
from gateway.dataset d
 where d.sandbox_id = $1 and d.dataset_id = {owner}.dataset_id

-- name: read_events(sandbox_id, xids, dataset_ids, event_ids) -> rows
-- Read the events that exist of these. Walks event_pkey once for each.
select {columns}
  from unnest($2::uuid[], $3::uuid[], $4::text[]) as asked (xid, dataset_id, event_id)
  join gateway.event e
    on e.sandbox_id = $1 and e.xid = any($2::uuid[]) and e.xid = asked.xid and e.dataset_id = asked.dataset_id
   and e.event_id = asked.event_id;

-- name: list_events(sandbox_id, xids, starts, stops) -> rows
-- List a page of each person's events, a person being a slice of the xids, with the person's place. Walks event_timeline_idx.
select person.place, found.*
  from unnest($3::integer[], $4::integer[]) with ordinality slice (start, stop, place)
 cross join lateral (select slice.place, $1::bigint as sandbox_id, ($2::uuid[])[slice.start:slice.stop] as xids) person
 cross join lateral (select {columns} {page}) found;

-- name: list_by_key(sandbox_id, xids, xid, dataset_id, event_id, size) -> rows
-- List the next events of identities behind a key, in any order. Walks identity_pkey, then event_pkey once for each identity. On a cluster all nodes are
-- asked, and a LATERAL is driven from a table; hundreds of identities lie on all of them.
select {columns}
  from (select e.*
          from gateway.identity i
         cross join lateral (
                 select {carried}
                   from gateway.event e
                  where e.sandbox_id = $1 and e.xid = i.xid and (e.xid, e.dataset_id, e.event_id) > ($3, $4, $5) {where}
                  order by e.dataset_id, e.event_id
                  limit $6) e
         where i.sandbox_id = $1 and i.xid = any($2::uuid[])
         order by e.xid, e.dataset_id, e.event_id
         limit $6) e
 {unpacked};

-- name: list_lines(sandbox_id, xids, xid, dataset_id, event_id, size) -> rows
-- Read the next events of each identity behind a key, as lines of JSON without the brace that they begin with: `{taken}` of their documents. With the
-- identity, how many there are, and the key of the last where there are as many as may be. Of bytes the rest is copied; of a text each character would be
-- looked at. Walks identity_pkey, then event_pkey once for each identity.
select i.xid, i.namespace_id, i.value, e.*
  from gateway.identity i
 cross join lateral (
         select count(*) as rows, (array_agg(e.dataset_id))[$6] as dataset_id, (array_agg(e.event_id))[$6] as event_id,
                string_agg(substring(convert_to({taken}, 'UTF8') from 2), '\x0a') as lines
           from (select e.dataset_id, e.event_id, e.document
                   from gateway.event e
                  where e.sandbox_id = $1 and e.xid = i.xid and (e.xid, e.dataset_id, e.event_id) > ($3, $4, $5) {where}
                  order by e.dataset_id, e.event_id
                  limit $6) e
          {unpacked}) e
 where i.sandbox_id = $1 and i.xid = any($2::uuid[]) and e.rows > 0;

-- name: read_lists(sandbox_id, xids, starts, stops) -> rows
-- Read pages and counts of each person's events, a person being a slice of the xids. Walks event_timeline_idx.
select {columns}
  from unnest($3::integer[], $4::integer[]) with ordinality slice (start, stop, place)
 cross join lateral (select slice.place, $1::bigint as sandbox_id, ($2::uuid[])[slice.start:slice.stop] as xids) person
 order by person.place;

-- name: list_events_of_cluster(sandbox_id, xids, size) -> rows
-- List the first events of each identity, on Citus: LATERAL is driven from a table, each table has all keys, and no OFFSET is inside. Walks event_timeline_idx.
select {columns}
  from gateway.identity i
 cross join lateral (
         select e.*
           from gateway.event e
          where e.sandbox_id = $1 and e.xid = any($2::uuid[]) and e.xid = i.xid {where}
          order by {nearest}) e
 where i.sandbox_id = $1 and i.xid = any($2::uuid[]);

-- name: count_events(sandbox_id, xids) -> rows
-- Count the events of each identity that pass a filter, for identities with at least one. Walks event_timeline_idx.
select e.xid, count(*)
  from gateway.event e
 where e.sandbox_id = $1 and e.xid = any($2::uuid[]) {where}
 group by e.xid;
