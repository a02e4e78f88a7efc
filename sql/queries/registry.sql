-- XDM schemas: what documents may look like.

-- name: read_clock() -> value
-- The time of the database.
select gateway.now();

-- name: list_schemas(sandbox_id, known_ids, known_versions) -> rows
-- All schemas of the sandbox, oldest first: a union keeps its fields in the order of its schemas. `custom_fields` is null for schemas of
-- which the caller knows the current version; `known_versions` are in the order of `known_ids`.
select schema_id, title, class, field_groups,
       case when ($3::integer[])[array_position($2::uuid[], schema_id)] = version then null else custom_fields end as custom_fields,
       identities, is_profile_enabled, version, created_at, updated_at, created_by
  from gateway.xdm_schema
 where sandbox_id = $1
 order by created_at, schema_id;

-- name: create_schema(sandbox_id, schema_id, title, field_groups, custom_fields, identities, is_profile_enabled, class, created_at, created_by) -> none
-- Creates a schema. Walks xdm_schema_pkey and xdm_schema_title_key.
insert into gateway.xdm_schema (sandbox_id, schema_id, title, field_groups, custom_fields, identities, is_profile_enabled, class, created_at,
                                updated_at, created_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10);

-- name: update_schema(sandbox_id, schema_id, title, field_groups, custom_fields, identities, is_profile_enabled) -> row
-- Changes a schema, whose class stays, and returns its new version. Walks xdm_schema_pkey.
update gateway.xdm_schema
   set title = $3, field_groups = $4, custom_fields = $5, identities = $6, is_profile_enabled = $7, version = version + 1,
       updated_at = gateway.now()
 where sandbox_id = $1 and schema_id = $2
returning version, updated_at;
