-- Merge policies: how the fragments of a person become one document.

-- name: list_policies(sandbox_id) -> rows
-- All policies of the sandbox by name; at most five. `job_id` is that of the open job that brings what a policy keeps in line with its settings.
-- Walks job_open_key for each of them.
select policy_id, name, class, identity_graph, merge_type, dataset_order, is_default, is_active_on_edge, version, status,
       created_at, updated_at, created_by,
       (select j.job_id
          from gateway.job j
         where j.sandbox_id = $1 and j.kind = 'MATERIALIZE_POLICY' and j.subject = p.policy_id and j.status in ('NEW', 'PROCESSING')) as job_id
  from gateway.merge_policy p
 where sandbox_id = $1
 order by name, policy_id;

-- name: create_policy(sandbox_id, policy_id, name, class, identity_graph, merge_type, dataset_order, is_default, is_active_on_edge, status, created_by) -> none
-- Creates a policy. Walks merge_policy_name_key, merge_policy_default_key and merge_policy_edge_key.
insert into gateway.merge_policy (sandbox_id, policy_id, name, class, identity_graph, merge_type, dataset_order, is_default,
                                  is_active_on_edge, status, created_by, created_at, updated_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, stamp, stamp
  from gateway.now() as stamp;

-- name: update_policy(sandbox_id, policy_id, name, identity_graph, merge_type, dataset_order, is_default, is_active_on_edge, status) -> none
-- Changes a policy; its version grows by one. Walks merge_policy_pkey.
update gateway.merge_policy
   set name = $3, identity_graph = $4, merge_type = $5, dataset_order = $6, is_default = $7, is_active_on_edge = $8,
       status = $9, version = version + 1, updated_at = gateway.now()
 where sandbox_id = $1 and policy_id = $2;

-- name: clear_default(sandbox_id, class) -> none
-- Unflags the default policy of the class; unless it is active on the edge, it has nothing to build and is ACTIVE. Walks
-- merge_policy_default_key.
update gateway.merge_policy
   set is_default = false, status = case when is_active_on_edge then status else 'ACTIVE' end, version = version + 1, updated_at = gateway.now()
 where sandbox_id = $1 and class = $2 and is_default;

-- name: delete_policy(sandbox_id, policy_id) -> none
-- Deletes a policy. Walks merge_policy_pkey.
delete from gateway.merge_policy
 where sandbox_id = $1 and policy_id = $2;

-- name: is_exported(sandbox_id, policy_id) -> value
-- Whether an export names the policy. Walks the sandbox_id of job_pkey.
select exists (select
                 from gateway.job
                where sandbox_id = $1 and kind = 'EXPORT_PROFILES' and input ->> 'policy_id' = ($2::uuid)::text);

-- name: has_records(sandbox_id) -> value
-- Whether the sandbox has records, deleted ones included. Walks fragment_pkey as far as the first.
select (select true from gateway.fragment where sandbox_id = $1 limit 1) is not null;

-- name: list_classes(sandbox_id, dataset_ids) -> rows
-- The class of each of these datasets, existing ones only. Walks dataset_pkey and xdm_schema_pkey.
select d.dataset_id, s.class
  from gateway.dataset d
  join gateway.xdm_schema s on s.sandbox_id = d.sandbox_id and s.schema_id = d.schema_id
 where d.sandbox_id = $1 and d.dataset_id = any($2::uuid[]);
