-- Kept values: what computed attributes give for people, stored because searches read it.
--
-- Which attributes are kept is in kept_attribute; they are so for `identity_graph`: PDG keeps a value for each person, NONE for each identity.

-- part: graphs
-- People by the identity graph, with the identities under which they have events.
select g.profile_id, g.event_xids as xids from gateway.graph g where g.sandbox_id = $1 and g.profile_id

-- part: primaries
-- Identities as people of their own: those under which something is stored.
select i.xid as profile_id, array[i.xid] as xids
  from gateway.identity i
 where i.sandbox_id = $1
   and {is_primary}
   and i.xid

-- part: document
-- The kept values of a person `k` by the names of the attributes; those of some people are given, because they are others by now.
cross join lateral (
         select case when {given}::jsonb ? k.{key}::text then {given}::jsonb -> k.{key}::text
                     else (select jsonb_object_agg(kept.name, v.value)
                             from unnest({ids}::uuid[], {names}::text[]) kept (attribute_id, name)
                             join gateway.kept_value v
                               on v.sandbox_id = $1 and v.identity_graph = {graph}::text and v.attribute_id = kept.attribute_id and v.profile_id = k.{key}
                            where v.value is not null) end as document offset 0) computed

-- name: list_kept(sandbox_id) -> rows
-- List what is kept. Walks kept_attribute_pkey.
select identity_graph, attribute_id, position, built_to, built, as_of, used_at
  from gateway.kept_attribute
 where sandbox_id = $1
 order by identity_graph, attribute_id;

-- name: lock_kept(sandbox_id, identity_graph, attribute_id) -> row
-- Read what is known of a kept attribute, and let nobody else write its values until the transaction ends. Walks kept_attribute_pkey.
select identity_graph, attribute_id, position, built_to, built, as_of, used_at
  from gateway.kept_attribute
 where sandbox_id = $1 and identity_graph = $2 and attribute_id = $3
   for no key update;

-- name: keep_anew(sandbox_id, identity_graph, attribute_id, position, first, at) -> none
-- Keep an attribute from now on, or compute all of its values anew. Walks kept_attribute_pkey.
insert into gateway.kept_attribute (sandbox_id, identity_graph, attribute_id, position, built_to, built, as_of, used_at)
values ($1, $2, $3, $4, $5, 0, $6, $6)
    on conflict (sandbox_id, identity_graph, attribute_id) do update
   set position = excluded.position, built_to = excluded.built_to, built = 0, as_of = excluded.as_of;

-- name: note_kept(sandbox_id, identity_graph, attribute_id, position, built_to, built, at) -> none
-- Note how far the values of an attribute are. Walks kept_attribute_pkey.
update gateway.kept_attribute
   set position = $4, built_to = $5, built = $6, as_of = greatest(as_of, $7)
 where sandbox_id = $1 and identity_graph = $2 and attribute_id = $3;

-- name: note_use(sandbox_id, identity_graph, attribute_ids, at) -> none
-- Note that searches read attributes. Walks kept_attribute_pkey.
update gateway.kept_attribute
   set used_at = $4
 where sandbox_id = $1 and identity_graph = $2 and attribute_id = any($3::uuid[]);

-- name: list_people_after(sandbox_id, after, size) -> rows
-- List the next people, `{kept}` being a part. Walks graph_pkey or identity_pkey.
{kept} > $2
 order by profile_id
 limit $3;

-- name: read_people(sandbox_id, profile_ids) -> rows
-- Read those of these people that exist, `{kept}` being a part. Walks graph_pkey or identity_pkey.
{kept} = any($2::uuid[]);

-- name: read_edges(sandbox_id, xids, starts, stops, times, since, near) -> rows
-- Read of each person, who is a slice of the xids, the first event from `since` on, the first from `near` on, and the first behind their time.
-- Walks event_timeline_idx thrice for each identity.
select edge.first, edge.near, edge.next
  from unnest($3::integer[], $4::integer[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[]) with ordinality
       slice (start, stop, at, since, near, place)
 cross join lateral (
         select min(e.first) as first, min(e.near) as near, min(e.next) as next
           from unnest(($2::uuid[])[slice.start:slice.stop]) member (xid)
          cross join lateral (
                  select (select min(timestamp) from gateway.event
                           where sandbox_id = $1 and xid = member.xid and timestamp between slice.since and slice.at) as first,
                         (select min(timestamp) from gateway.event
                           where sandbox_id = $1 and xid = member.xid and timestamp between slice.near and slice.at) as near,
                         (select min(timestamp) from gateway.event where sandbox_id = $1 and xid = member.xid and timestamp > slice.at) as next) e) edge
 order by slice.place;

-- name: read_edges_of_cluster(sandbox_id, xids, places, times, since, near) -> rows
-- The same of identities at the places of people, for a cluster, which drives no LATERAL from values: each node goes through the events of its
-- identities, and the coordinator takes the first ones of each place. Walks event_timeline_idx.
select given.place, min(e.timestamp) filter (where e.timestamp between given.since and given.at) as first,
       min(e.timestamp) filter (where e.timestamp between given.near and given.at) as near,
       min(e.timestamp) filter (where e.timestamp > given.at) as next
  from gateway.event e
  join unnest($2::uuid[], $3::integer[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[]) given (xid, place, at, since, near)
    on given.xid = e.xid
 where e.sandbox_id = $1 and e.xid = any($2::uuid[])
 group by given.place;

-- name: find_due(sandbox_id, identity_graph, attribute_id, at, size) -> rows
-- Find people whose window has slid by a time, those first who have waited for longest. Walks kept_value_due_idx.
select profile_id
  from gateway.kept_value
 where sandbox_id = $1 and identity_graph = $2 and attribute_id = $3 and next_change_at <= $4
 order by next_change_at
 limit $5;

-- name: read_values(sandbox_id, identity_graph, attribute_id, profile_ids) -> rows
-- Read values. Walks kept_value_pkey.
select profile_id, value, next_change_at
  from gateway.kept_value
 where sandbox_id = $1 and identity_graph = $2 and attribute_id = $3 and profile_id = any($4::uuid[]);

-- name: list_values(sandbox_id, identity_graph, attribute_id, after, size) -> rows
-- List values behind a person. Walks kept_value_pkey.
select profile_id, value, next_change_at
  from gateway.kept_value
 where sandbox_id = $1 and identity_graph = $2 and attribute_id = $3 and profile_id > $4
 order by profile_id
 limit $5;

-- name: write_values(sandbox_id, identity_graph, attribute_id, profile_ids, values, times) -> none
-- Write values, in the order of people, as whoever removes them does. Walks kept_value_pkey.
insert into gateway.kept_value (sandbox_id, identity_graph, attribute_id, profile_id, value, next_change_at)
select $1, $2, $3, given.profile_id, given.value::jsonb, given.next_change_at
  from unnest($4::uuid[], $5::text[], $6::timestamptz[]) given (profile_id, value, next_change_at)
 order by given.profile_id
    on conflict (sandbox_id, identity_graph, attribute_id, profile_id) do update
   set value = excluded.value, next_change_at = excluded.next_change_at;

-- name: remove_values(sandbox_id, identity_graph, attribute_id, profile_ids) -> none
-- Remove the values of people who are there no more. Walks kept_value_pkey.
delete from gateway.kept_value
 where sandbox_id = $1 and identity_graph = $2 and attribute_id = $3
   and profile_id = any(array(select profile_id
                                from gateway.kept_value
                               where sandbox_id = $1 and identity_graph = $2 and attribute_id = $3 and profile_id = any($4::uuid[])
                               order by profile_id
                                 {lock}));

-- name: forget_people(sandbox_id, xids) -> value
-- Remove all values of these identities and of the people that they belong to now, in the order in which others write them. Returns how many went.
-- Walks kept_attribute_pkey, identity_pkey and kept_value_pkey.
with kept as materialized (
       select identity_graph, attribute_id
         from gateway.kept_attribute
        where sandbox_id = $1),
     found as materialized (
       select v.identity_graph, v.attribute_id, v.profile_id
         from kept a
         join gateway.kept_value v on v.sandbox_id = $1 and v.identity_graph = a.identity_graph and v.attribute_id = a.attribute_id
        where v.profile_id = any($2::uuid[] || array(select i.profile_id from gateway.identity i
                                                      where i.sandbox_id = $1 and i.xid = any($2::uuid[]) and i.profile_id is not null))
        order by v.identity_graph, v.attribute_id, v.profile_id
        {lock}),
     removed as (
       delete from gateway.kept_value v
        using found f
        where v.sandbox_id = $1 and v.identity_graph = f.identity_graph and v.attribute_id = f.attribute_id and v.profile_id = f.profile_id
       returning 1)
select count(*)
  from removed;

-- name: count_values(sandbox_id, xids) -> value
-- Count the values of these identities and of the people that they belong to. Walks kept_attribute_pkey, identity_pkey and kept_value_pkey.
with kept as materialized (
       select identity_graph, attribute_id
         from gateway.kept_attribute
        where sandbox_id = $1)
select count(*)
  from kept a
  join gateway.kept_value v on v.sandbox_id = $1 and v.identity_graph = a.identity_graph and v.attribute_id = a.attribute_id
 where v.profile_id = any($2::uuid[] || array(select i.profile_id from gateway.identity i
                                               where i.sandbox_id = $1 and i.xid = any($2::uuid[]) and i.profile_id is not null));

-- name: drop_values(sandbox_id, identity_graph, attribute_id, size) -> value
-- Remove some of an attribute's values. Returns how many. Walks kept_value_pkey.
with removed as (
       delete from gateway.kept_value
        where sandbox_id = $1 and identity_graph = $2 and attribute_id = $3
          and profile_id = any(array(select profile_id
                                       from gateway.kept_value
                                      where sandbox_id = $1 and identity_graph = $2 and attribute_id = $3
                                      order by profile_id
                                      limit $4))
       returning 1)
select count(*)
  from removed;

-- name: keep_no_more(sandbox_id, identity_graph, attribute_id) -> none
-- Keep an attribute no more, all of whose values are removed. Walks kept_attribute_pkey.
delete from gateway.kept_attribute
 where sandbox_id = $1 and identity_graph = $2 and attribute_id = $3;
