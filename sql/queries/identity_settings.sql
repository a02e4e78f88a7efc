-- Identity settings: the ranks of namespaces, in the rows of the namespaces, and a row of their own that says who last changed them.

-- name: create_settings(sandbox_id) -> none
-- Creates the settings of a new sandbox, which rank nothing. Walks identity_settings_pkey.
insert into gateway.identity_settings (sandbox_id)
values ($1);

-- name: read_settings(sandbox_ids, organization_id, names, kind) -> rows
-- The settings of these sandboxes if they are the organization's and, unless `names` is null, have one of these names: a row for each namespace
-- with a priority, the highest first, and one of nulls where there is none. `job_id` is that of the open job of this kind, which regroups the
-- people who were there. Walks identity_settings_pkey and job_open_key, and the namespaces of each sandbox.
select i.sandbox_id as settings_of, i.version as settings_version, i.updated_at as settings_updated_at, i.updated_by as settings_updated_by,
       (select j.job_id
          from gateway.job j
         where j.sandbox_id = i.sandbox_id and j.kind = $4 and j.status in ('NEW', 'PROCESSING')) as job_id,
       n.sandbox_id, n.namespace_id, n.code, n.name, n.description, n.id_type, n.normalization, n.is_custom, n.priority, n.is_unique_per_graph,
       n.version, n.created_at, n.updated_at, n.created_by
  from gateway.identity_settings i
  join gateway.sandbox s on s.sandbox_id = i.sandbox_id
  left join gateway.namespace n on n.sandbox_id = i.sandbox_id and n.priority is not null
 where i.sandbox_id = any($1::bigint[]) and s.organization_id = $2 and ($3::text[] is null or s.name = any($3))
 order by i.sandbox_id, n.priority, n.namespace_id;

-- name: update_settings(sandbox_id, updated_by) -> none
-- Notes a change of the settings. Walks identity_settings_pkey.
update gateway.identity_settings
   set version = version + 1, updated_at = gateway.now(), updated_by = $2
 where sandbox_id = $1;

-- name: clear_rules(sandbox_id) -> none
-- Empties the identity settings. Walks namespace_pkey.
update gateway.namespace
   set priority = null, is_unique_per_graph = false
 where sandbox_id = $1 and priority is not null;

-- name: set_rules(sandbox_id | namespace_id integer, priority integer, is_unique_per_graph boolean) -> none
-- Lists these namespaces in the identity settings. Walks namespace_pkey.
update gateway.namespace as n
   set priority = v.priority, is_unique_per_graph = v.is_unique_per_graph
  from (values {rows}) as v (namespace_id, priority, is_unique_per_graph)
 where n.sandbox_id = $1 and n.namespace_id = v.namespace_id;
