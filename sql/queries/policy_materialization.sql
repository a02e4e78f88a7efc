-- Bringing what a policy keeps merged up to its settings, some people at a time.

-- name: lock_people(sandbox_id, after, size) -> rows
-- The people after this one, locked in the order of ids, as writers lock them. Walks graph_pkey.
select profile_id, xids
  from gateway.graph
 where sandbox_id = $1 and profile_id > $2
 order by profile_id
 limit $3
   for update;

-- name: list_kept(sandbox_id, policy_id, profile_ids) -> rows
-- Those of these subjects whom the policy has merged already. Walks profile_pkey.
select profile_id
  from gateway.profile
 where sandbox_id = $1 and policy_id = $2 and profile_id = any($3::uuid[]);

-- name: forget_some(sandbox_id, policy_id, after, size) -> rows
-- The first subjects after this one of whom the policy had merged something; it is gone now. Walks profile_pkey.
delete from gateway.profile
 where sandbox_id = $1 and policy_id = $2
   and profile_id = any(array(select profile_id
                                from gateway.profile
                               where sandbox_id = $1 and policy_id = $2 and profile_id > $3
                               order by profile_id
                               limit $4))
returning profile_id;

-- name: activate_policy(sandbox_id, policy_id) -> none
-- All that the policy keeps is there. Walks merge_policy_pkey.
update gateway.merge_policy
   set status = 'ACTIVE'
 where sandbox_id = $1 and policy_id = $2;
