-- previews.count_people
with datasets as materialized (
  select dataset_id, set_bit(repeat('0', count(*) over ()::integer)::bit varying, row_number() over (order by dataset_id)::integer - 1, 1) as bit
    from gateway.dataset
   where sandbox_id = $1
), namespaces as materialized (
  select namespace_id, code, set_bit(repeat('0', count(*) over ()::integer)::bit varying, row_number() over (order by namespace_id)::integer - 1, 1) as bit
    from gateway.namespace
   where sandbox_id = $1
), held as materialized (
  select i.profile_id as person, i.namespace_id, f.dataset_id, f.takes_part, f.events, f.last_at
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
  select i.profile_id as person, bit_or(n.bit) as namespaces
    from gateway.identity i
    join namespaces n using (namespace_id)
   where i.sandbox_id = $1 and i.profile_id is not null
   group by i.profile_id
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
