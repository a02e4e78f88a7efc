-- Identity namespaces: standard and custom ones.

-- name: list_namespaces(sandbox_id) -> rows
-- All namespaces of the sandbox by code. Walks namespace_code_key.
select sandbox_id, namespace_id, code, name, description, id_type, normalization, is_custom, priority, is_unique_per_graph
  from gateway.namespace
 where sandbox_id = $1
 order by code;

-- name: list_ranked(sandbox_ids, organization_id, names) -> rows
-- The namespaces with a priority, the highest first, of these sandboxes if they are the organization's and, unless `names` is null, have one
-- of these names. Walks namespace_pkey.
select n.sandbox_id, n.namespace_id, n.code, n.name, n.description, n.id_type, n.normalization, n.is_custom, n.priority, n.is_unique_per_graph
  from gateway.namespace n
  join gateway.sandbox s on s.sandbox_id = n.sandbox_id
 where n.sandbox_id = any($1::bigint[]) and s.organization_id = $2 and ($3::text[] is null or s.name = any($3)) and n.priority is not null
 order by n.sandbox_id, n.priority, n.namespace_id;

-- name: create_namespace(sandbox_id, namespace_id, code, name, description, id_type, normalization, is_custom) -> none
-- Creates a namespace. Walks namespace_pkey and namespace_code_key.
insert into gateway.namespace (sandbox_id, namespace_id, code, name, description, id_type, normalization, is_custom, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, gateway.now());

-- name: next_namespace(sandbox_id, first) -> value
-- The next free id of a custom namespace, from `first` on. Called under the lock of the configuration. Walks namespace_pkey.
select coalesce(max(namespace_id) + 1, $2::integer)
  from gateway.namespace
 where sandbox_id = $1 and namespace_id >= $2;

-- name: update_namespace(sandbox_id, namespace_id, name, description) -> value
-- Changes the custom namespace and returns its id; none if there is no such. Walks namespace_pkey.
update gateway.namespace
   set name = $3, description = $4
 where sandbox_id = $1 and namespace_id = $2 and is_custom
returning namespace_id;

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
