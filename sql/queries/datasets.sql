-- Datasets: where the documents of one source go.

-- name: list_datasets(sandbox_id) -> rows
-- All datasets of the sandbox by name. Walks dataset_name_key.
select dataset_id, schema_id, name, description, is_profile_enabled, created_at
  from gateway.dataset
 where sandbox_id = $1
 order by name;

-- name: read_schema(sandbox_id, schema_id) -> value
-- Whether the schema is enabled for profile; none if there is no such schema. Walks xdm_schema_pkey.
select is_profile_enabled
  from gateway.xdm_schema
 where sandbox_id = $1 and schema_id = $2;

-- name: create_dataset(sandbox_id, dataset_id, schema_id, name, description, is_profile_enabled) -> value
-- Creates the dataset and returns its time of creation. Walks dataset_pkey and dataset_name_key.
insert into gateway.dataset (sandbox_id, dataset_id, schema_id, name, description, is_profile_enabled, created_at)
values ($1, $2, $3, $4, $5, $6, gateway.now())
returning created_at;

-- name: update_dataset(sandbox_id, dataset_id, name, description, is_profile_enabled) -> none
-- Changes a dataset, whose schema stays. Walks dataset_pkey.
update gateway.dataset
   set name = $3, description = $4, is_profile_enabled = $5
 where sandbox_id = $1 and dataset_id = $2;

-- name: count_records(sandbox_id, dataset_ids) -> rows
-- The number of accepted documents of these datasets that are there now; datasets without any are missing. Walks batch_dataset_idx.
select dataset_id, sum(record_count)::bigint as count
  from gateway.batch
 where sandbox_id = $1 and dataset_id = any($2::uuid[])
 group by dataset_id;
