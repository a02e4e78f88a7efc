-- Previews: how many people there are, and of what their data is made. Counts alone: no statement here returns anything of a person.
--
-- What one dataset holds under one identity is a fragment: a record, or events. An event is counted in event_pkey, which has its time.

-- part: numbered
-- Give each of these things a place in a row of bits; the bits of those that a person has are a set of them.
set_bit(repeat('0', count(*) over ()::integer)::bit varying, row_number() over (order by {key})::integer - 1, 1)

-- part: graphs
-- People by the identity graph, each with all of its identities.
select i.profile_id as person, bit_or(n.bit) as namespaces
    from gateway.identity i
    join namespaces n using (namespace_id)
   where i.sandbox_id = $1 and i.profile_id is not null
   group by i.profile_id

-- part: primaries
-- Identities with data as people of their own.
select h.person, bit_or(n.bit) as namespaces
    from held h
    join namespaces n using (namespace_id)
   group by h.person

-- name: begin_preview(sandbox_id) -> row
-- The time now, and when the newest of the documents that are stored came in; null where there are none. Walks batch_dataset_idx or
-- batch_created_idx, those of the sandbox.
select stamp as at,
       (select max(b.last_document_at) from gateway.batch b where b.sandbox_id = $1 and b.record_count > 0) as last_document_at
  from gateway.now() as stamp;

-- name: count_data(sandbox_id, since) -> rows
-- Count what each dataset holds: fragments, records, events, and of these the ones from each of seven times on. Walks event_pkey and fragment_pkey.
select dataset_id, count(*) as fragments, 0::bigint as records, sum(events)::bigint as events,
       array[sum(since_1), sum(since_2), sum(since_3), sum(since_4), sum(since_5), sum(since_6), sum(since_7)]::bigint[] as remaining
  from (select dataset_id, count(*) as events,
               count(*) filter (where timestamp >= ($2::timestamptz[])[1]) as since_1, count(*) filter (where timestamp >= $2[2]) as since_2,
               count(*) filter (where timestamp >= $2[3]) as since_3, count(*) filter (where timestamp >= $2[4]) as since_4,
               count(*) filter (where timestamp >= $2[5]) as since_5, count(*) filter (where timestamp >= $2[6]) as since_6,
               count(*) filter (where timestamp >= $2[7]) as since_7
          from gateway.event
         where sandbox_id = $1
         group by xid, dataset_id) held
 group by dataset_id
 union all
select dataset_id, count(*), count(*), 0, array_fill(0::bigint, array[7])
  from gateway.fragment
 where sandbox_id = $1 and not is_deleted
 group by dataset_id
 order by dataset_id;

-- name: count_people(sandbox_id, since, listed, most) -> value
-- Count the people, as JSON: all; those with each dataset and each set of these; with each namespace and each set of these, the most frequent
-- sets at most `most` of either; and those with a single fragment and no event from each of some times on, earliest first. `{person}` is whose an
-- identity `i` is, `{members}` the part that lists people. Of the records those of the datasets `listed` take part, or all if that is null. Walks event_pkey,
-- fragment_pkey and identity_pkey.
with datasets as materialized (
  select dataset_id, {numbered_datasets} as bit
    from gateway.dataset
   where sandbox_id = $1
), namespaces as materialized (
  select namespace_id, code, {numbered_namespaces} as bit
    from gateway.namespace
   where sandbox_id = $1
), held as materialized (
  select {person} as person, i.namespace_id, f.dataset_id, f.takes_part, f.events, f.last_at
    from (select xid, dataset_id, true as takes_part, count(*) as events, max(timestamp) as last_at
            from gateway.event
           where sandbox_id = $1
           group by xid, dataset_id
           union all
          select xid, dataset_id, $3::uuid[] is null or dataset_id = any($3), 0, null
            from gateway.fragment
           where sandbox_id = $1 and not is_deleted) f
    join gateway.identity i on i.sandbox_id = $1 and i.xid = f.xid
), data as (
  select h.person, bit_or(d.bit) filter (where h.takes_part) as datasets, count(*) as fragments, min(h.namespace_id) as namespace_id,
         sum(h.events) as events, max(h.last_at) as last_at
    from held h
    join datasets d using (dataset_id)
   group by h.person
), members as (
  {members}
), people as (
  select d.datasets, m.namespaces, case when d.fragments = 1 then d.namespace_id end as single_in,
         case when d.fragments = 1 then coalesce(width_bucket(d.last_at, $2::timestamptz[]), 0) end as seen, d.events
    from members m
    left join data d using (person)
), kinds as materialized (
  select datasets, namespaces, single_in, seen, count(*) as people, sum(events) as events
    from people
   group by datasets, namespaces, single_in, seen
), fragments as (
  select namespace_id, count(*) as fragments
    from held
   group by namespace_id
), unknown as materialized (
  select w.place, k.namespaces, k.single_in, k.people, k.events
    from generate_subscripts($2, 1) as w (place)
    join kinds k on k.seen < w.place
)
select json_build_object(
         'profiles', (select coalesce(sum(people), 0) from kinds),
         'datasets', (select json_agg(json_build_array(dataset_id, people))
                        from (select d.dataset_id, sum(k.people) as people
                                from datasets d
                                join kinds k on k.datasets & d.bit = d.bit
                               group by d.dataset_id) found),
         'datasetSets', (select json_agg(json_build_array(keys, people))
                           from (select array(select dataset_id from datasets d where s.datasets & d.bit = d.bit) as keys, people
                                   from (select datasets, sum(people) as people
                                           from kinds
                                          where datasets is not null
                                          group by datasets
                                          order by people desc, datasets
                                          limit $4) s) found),
         'namespaces', (select json_agg(json_build_array(namespace_id, people, fragments))
                          from (select n.namespace_id, sum(k.people) as people, coalesce(min(f.fragments), 0) as fragments
                                  from namespaces n
                                  join kinds k on k.namespaces & n.bit = n.bit
                                  left join fragments f on f.namespace_id = n.namespace_id
                                 group by n.namespace_id) found),
         'namespaceSets', (select json_agg(json_build_array(keys, people))
                             from (select array(select code from namespaces n where s.namespaces & n.bit = n.bit) as keys, people
                                     from (select namespaces, sum(people) as people
                                             from kinds
                                            group by namespaces
                                            order by people desc, namespaces
                                            limit $4) s) found),
         'unknown', (select json_agg(json_build_array(place, people, events))
                       from (select place, sum(people) as people, sum(events) as events
                               from unknown
                              group by place) found),
         'unknownNamespaces', (select json_agg(json_build_array(place, namespace_id, people, fragments))
                                 from (select u.place, n.namespace_id, sum(u.people) as people,
                                              coalesce(sum(u.people) filter (where u.single_in = n.namespace_id), 0) as fragments
                                         from namespaces n
                                         join unknown u on u.namespaces & n.bit = n.bit
                                        group by u.place, n.namespace_id) found));

-- name: list_reported(sandbox_id, day) -> rows
-- The policies of which a report was taken on a day. Walks preview_report_pkey.
select policy_id
  from gateway.preview_report
 where sandbox_id = $1 and day = $2;

-- name: add_report(sandbox_id, policy_id, day, taken_at, last_document_at, data, people) -> none
-- Keep the report of a day and a policy, unless the policy is gone, or there is one. Walks merge_policy_pkey and preview_report_pkey.
insert into gateway.preview_report (sandbox_id, policy_id, day, taken_at, last_document_at, data, people)
select $1, policy_id, $3, $4, $5, $6, $7
  from gateway.merge_policy
 where sandbox_id = $1 and policy_id = $2
   for key share
    on conflict do nothing;

-- name: read_report(sandbox_id, policy_id, first, last) -> row
-- The newest report of a policy among those of some days. Walks preview_report_pkey backwards.
select taken_at, last_document_at, data, people
  from gateway.preview_report
 where sandbox_id = $1 and policy_id = $2 and day between $3 and $4
 order by day desc
 limit 1;

-- name: expire_reports(sandbox_id, before) -> none
-- Remove the reports of days before one. Walks preview_report_pkey.
delete from gateway.preview_report
 where sandbox_id = $1 and day < $2;
