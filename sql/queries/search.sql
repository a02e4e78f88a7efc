-- Searches: people for whom a condition in PQL is true. `{people}` are all people `k` of one kind of identity graph, `{key}` is their id
-- and `{table}` the table that has it; `{computed}` is the part `document` of kept_values.sql, or nothing; `{where}` are conditions on them, put together by pql/sql.py, and `{profile}` is the part of this
-- name in people.sql, or nothing where no condition looks at it.
--
-- A statement looks at no more than `people` people, so that it ends in time whoever is searched for; `last` is the last one looked at, or
-- null where nobody is left behind. It is read in the direction of the page, of which `{low}` and `{high}` are the ends.

-- part: graphs
-- People by the identity graph.
from gateway.graph k
 cross join lateral (select k.xids, k.event_xids, k.identity_map) g
 cross join lateral (select k.profile_id) person

-- part: primaries
-- Identities as people of their own.
from gateway.identity k
 cross join lateral (
         select code
           from gateway.namespace
          where sandbox_id = $1 and namespace_id = k.namespace_id
          limit 1) n
 cross join lateral (
         select array[k.xid] as xids, case when k.has_events then array[k.xid] else '{}' end as event_xids,
                json_build_object(n.code, json_build_array(json_build_object('id', k.value))) as identity_map) g
 cross join lateral (select k.xid as profile_id) person

-- part: reach
-- How far a statement looks: the last of its people, and the one behind.
(select case when ends[2] is not null then ends[1] end as last, coalesce(ends[2], {end}::uuid) as bound
   from (select array_agg(key order by key {direction}) as ends
           from (select {key} as key
                   from gateway.{table}
                  where sandbox_id = $1 and {key} > $4 and {key} < $5
                  order by {key} {direction}
                 offset $6::integer - 1
                  limit 2) edge) edges) reach

-- part: among
-- Of the people that an index has told.
k.{key} = any({place}::uuid[])

-- part: whole
-- As far as there are people, of whom an index has told some.
(select null::uuid as last, {end}::uuid as bound where $6::integer > 0) reach

-- name: find_people(sandbox_id, policy_id, version, after, before, people, size) -> row
-- Read the ids of the first people between two ids, from the one or from the other, for whom the conditions hold. Walks graph_pkey or identity_pkey.
select {is_kept} as is_current, reach.last,
       array(select k.{key}
               {people}
               {profile}
               {computed}
              where k.sandbox_id = $1 and k.{key} > {low} and k.{key} < {high} {where}
              order by k.{key} {direction}
              limit $7) as ids
  from {reach};

-- name: count_people(sandbox_id, policy_id, version, after, before, people) -> row
-- Count the people between two ids for whom the conditions hold. Walks graph_pkey or identity_pkey.
select {is_kept} as is_current, reach.last,
       (select count(*)
          {people}
          {profile}
          {computed}
         where k.sandbox_id = $1 and k.{key} > {low} and k.{key} < {high} {where}) as total
  from {reach};

-- part: primaries_of_cluster
-- Identities as people of their own, on a cluster, which joins no table of the coordinator: `{codes}` has the codes of namespaces by their ids.
from gateway.identity k
 cross join lateral (
         select array[k.xid] as xids, case when k.has_events then array[k.xid] else '{}' end as event_xids,
                json_build_object({codes}::jsonb ->> k.namespace_id::text, json_build_array(json_build_object('id', k.value))) as identity_map
           from (select) one) g
 cross join lateral (select k.xid as profile_id) person

-- part: profile_of_cluster
-- What any version of the policy keeps of people. The bounds are those of the people, which a join by their id does not pass on.
left join gateway.profile p
    on p.sandbox_id = $1 and p.policy_id = {policy}::uuid and p.profile_id = k.{key} and p.profile_id > $2 and p.profile_id < $3
 cross join lateral (select coalesce(p.document || '{}', '{}') as document) kept

-- name: find_edge(sandbox_id, after, before, people) -> rows
-- Read the last of so many people between two ids, and the one behind; of a cluster. Walks graph_pkey or identity_pkey.
select {key} as id
  from gateway.{table}
 where sandbox_id = $1 and {key} > $2 and {key} < $3
 order by {key} {direction}
offset $4::integer - 1
 limit 2;

-- name: list_between(sandbox_id, after, before, size) -> rows
-- Read the first people between two ids for whom the conditions hold that read no events; of a cluster. Walks graph_pkey or identity_pkey,
-- and profile_pkey.
select {columns}
  {people}
  {profile}
 where k.sandbox_id = $1 and k.{key} > $2 and k.{key} < $3 {where}
 order by k.{key} {direction}
 limit $4;

-- name: count_between(sandbox_id, after, before) -> row
-- Count the people between two ids for whom the conditions hold that read no events; of a cluster. Walks graph_pkey or identity_pkey, and
-- profile_pkey.
select count(*) as total
  {people}
  {profile}
 where k.sandbox_id = $1 and k.{key} > $2 and k.{key} < $3 {where};

-- name: count_events(sandbox_id, xids) -> rows
-- Count the events of each of these identities that has any. Walks event_pkey.
select xid, count(*) as events
  from gateway.event
 where sandbox_id = $1 and xid = any($2::uuid[])
 group by xid;

-- name: read_events(sandbox_id, xids) -> rows
-- Read the events of these identities, each as the part `over_events.event`. Walks event_pkey.
select e.xid, {event}
  from gateway.event e
 where e.sandbox_id = $1 and e.xid = any($2::uuid[]);

-- part: person_to_give
-- What conditions are over, of a person who is read for them.
k.{key} as id, g.event_xids, g.identity_map::text as identity_map, kept.document::text as document

-- part: given_events
-- The events of a person who is given, each as the part `over_events.event`.
(select * from jsonb_to_recordset({events}) given (xid uuid, dataset_id uuid, event_id text, timestamp timestamptz, event_type text, document jsonb))

-- name: find_given(sandbox_id, ids, identity_maps, documents, events) -> rows
-- Of people who are given, with what was read of them, read the ids of those for whom the conditions hold. No table is read: on a cluster,
-- events are on other nodes than the people they are of, and an expression of any kind over rows of several nodes cannot be planned.
select given.id
  from unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) given (id, identity_map, document, events)
 cross join lateral (select given.identity_map::jsonb as identity_map, given.events::jsonb as events offset 0) g
 cross join lateral (select given.document::jsonb as document offset 0) kept
 where $1::bigint is not null {where};
