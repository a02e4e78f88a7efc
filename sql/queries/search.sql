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
         where k.sandbox_id = $1 and k.{key} > {low} and k.{key} < {high} {where}) as count
  from {reach};
