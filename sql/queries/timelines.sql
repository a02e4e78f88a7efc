-- Timelines: pages of people's events as finished JSON.

-- name: list_timelines(sandbox_id, xids, starts, stops, size) -> rows
-- Of each person, who is a slice of the xids, the nearest events as finished JSON, how many were found, and the keys of the first and the
-- last. Walks event_timeline_idx.
select page.*
  from unnest($3::integer[], $4::integer[]) with ordinality person (start, stop, place)
 cross join lateral (
         select {nodes} as nodes, count(*) as found, {first} as first, {last} as last
           from (select e.*
                   from unnest(($2::uuid[])[person.start:person.stop]) asked (xid)
                  cross join lateral (
                          select e.xid, e.dataset_id, e.event_id, e.timestamp, e.event_type, e.document, e.ingested_at
                            from gateway.event e
                           where e.sandbox_id = $1 and e.xid = asked.xid {where}
                           order by {limited}) e
                  order by e.{time} {direction}, e.event_id {direction}, e.xid {direction}, e.dataset_id {direction}
                  limit $5) e
          cross join lateral (select e.document || '{}' as document offset 0) unpacked) page
 order by person.place;
