-- Identity namespaces: standard and custom ones.

-- name: list_namespaces(sandbox_id) -> rows
-- All namespaces of the sandbox by code. Walks namespace_code_key.
select sandbox_id, namespace_id, code, name, description, id_type, normalization, is_custom, priority, is_unique_per_graph,
       version, created_at, updated_at, created_by
  from gateway.namespace
 where sandbox_id = $1
 order by code;

-- name: create_namespace(sandbox_id, namespace_id, code, name, description, id_type, normalization, is_custom, created_by) -> row
-- Creates a namespace and returns what the database says of it. Walks namespace_pkey and namespace_code_key.
insert into gateway.namespace (sandbox_id, namespace_id, code, name, description, id_type, normalization, is_custom, created_by,
                               created_at, updated_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, stamp, stamp
  from gateway.now() as stamp
returning version, created_at, updated_at, created_by;

-- name: list_namespaces_of_erased(sandbox_id) -> rows
-- The custom namespaces of identities that were erased. Walks namespace_pkey and identity_erased_idx.
select namespace_id, code, name, description, id_type, normalization, is_custom, created_by
  from gateway.namespace
 where sandbox_id = $1 and is_custom
   and namespace_id = any(array(select i.namespace_id from gateway.identity as i where i.sandbox_id = $1 and i.erased_at is not null));

-- name: next_namespace(sandbox_id, first) -> value
-- The next free id of a custom namespace, from `first` on. Called under the lock of the configuration. Walks namespace_pkey.
select coalesce(max(namespace_id) + 1, $2::integer)
  from gateway.namespace
 where sandbox_id = $1 and namespace_id >= $2;

-- name: update_namespace(sandbox_id, namespace_id, name, description) -> row
-- Changes the custom namespace and returns its new version. Walks namespace_pkey.
update gateway.namespace
   set name = $3, description = $4, version = version + 1, updated_at = gateway.now()
 where sandbox_id = $1 and namespace_id = $2 and is_custom
returning version, updated_at;
