-- People among whom those that a search is for are, as far as an index tells. `{of}` names the index' sandbox and policy by their values, as
-- the index itself does: a plan for any sandbox could not use it.

-- name: find_people(sandbox_id, at, size) -> rows
-- Profile ids by a leaf of profiles. Walks an index for searches.
select profile_id
  from gateway.profile
 where sandbox_id = $1 and $2::timestamptz is not null and {of} and {condition}
 {in_order}
 limit $3;

-- name: find_by_events(sandbox_id, at, size) -> rows
-- Profile ids by a leaf of events, of each how many events were found, and how many of all. Walks an index for searches, then identity_pkey once
-- for each identity.
with found as materialized (
  select xid
    from gateway.event
   where sandbox_id = $1 and $2::timestamptz is not null and {of} and {condition}
   {in_order}
   limit $3
), counted as (
  select xid, count(*) as events
    from found
   group by xid
)
select {subject} as profile_id, sum(c.events)::bigint as events, (select count(*) from found) as looked_at
  from counted c
  {identity}
 group by 1;

-- part: identity
-- The person whom an identity belongs to.
cross join lateral (
         select profile_id
           from gateway.identity
          where sandbox_id = $1 and xid = c.xid
          limit 1) i

-- part: of_sandbox
-- The rows of one sandbox, as the definition of an index has them.
sandbox_id = {sandbox}

-- part: of_policy
-- The rows of one policy.
sandbox_id = {sandbox} and policy_id = '{policy}'

-- name: has_people(sandbox_id, count) -> value
-- Whether the sandbox has more people than so many. Walks graph_pkey.
select (select true from gateway.graph where sandbox_id = $1 offset $2 limit 1) is not null;
