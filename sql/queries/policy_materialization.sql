-- The job that brings the materialized profiles of a policy to its settings, some people at a time.

-- name: lock_people(sandbox_id, after, size) -> rows
-- Lock the graphs after this one in the order of profile ids, as writers lock them. Walks graph_pkey.
select profile_id, xids
  from gateway.graph
 where sandbox_id = $1 and profile_id > $2
 order by profile_id
 limit $3
   {lock};

-- name: delete_profiles_after(sandbox_id, policy_id, after, size) -> rows
-- Delete the first profiles of the policy after this one. Returns their ids. Walks profile_pkey.
delete from gateway.profile
 where sandbox_id = $1 and policy_id = $2
   and profile_id = any(array(select profile_id
                                from gateway.profile
                               where sandbox_id = $1 and policy_id = $2 and profile_id > $3
                               order by profile_id
                               limit $4))
returning profile_id;

-- name: activate_policy(sandbox_id, policy_id) -> none
-- Mark a policy ACTIVE: all its profiles are written. Walks merge_policy_pkey.
update gateway.merge_policy
   set status = 'ACTIVE'
 where sandbox_id = $1 and policy_id = $2;
