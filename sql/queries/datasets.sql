-- Datasets: where the documents of one source go.

-- name: list_datasets(sandbox_id) -> rows
-- All datasets of the sandbox by name. Walks dataset_name_key.
select dataset_id, schema_id, name, description, is_profile_enabled, event_retention_days, status, version, created_at, updated_at, created_by
  from gateway.dataset
 where sandbox_id = $1
 order by name;

-- name: read_schema(sandbox_id, schema_id) -> row
-- The class of the schema, and whether it is enabled for profile. Walks xdm_schema_pkey.
select class, is_profile_enabled
  from gateway.xdm_schema
 where sandbox_id = $1 and schema_id = $2;

-- name: create_dataset(sandbox_id, dataset_id, schema_id, name, description, is_profile_enabled, created_by) -> row
-- Creates the dataset and returns what the database says of it. Walks dataset_pkey and dataset_name_key.
insert into gateway.dataset (sandbox_id, dataset_id, schema_id, name, description, is_profile_enabled, created_by, created_at, updated_at)
select $1, $2, $3, $4, $5, $6, $7, stamp, stamp
  from gateway.now() as stamp
returning version, created_at, updated_at, created_by;

-- name: update_dataset(sandbox_id, dataset_id, name, description, is_profile_enabled, event_retention_days) -> row
-- Changes a dataset, whose schema stays, and returns its new version. Walks dataset_pkey.
update gateway.dataset
   set name = $3, description = $4, is_profile_enabled = $5, event_retention_days = $6, version = version + 1, updated_at = gateway.now()
 where sandbox_id = $1 and dataset_id = $2
returning version, updated_at;

-- name: read_oldest_time(sandbox_id, dataset_id) -> value
-- The time before which events are too old for the dataset; null if it takes events of any age. Walks dataset_pkey.
select gateway.now() - make_interval(hours => 24 * event_retention_days)
  from gateway.dataset
 where sandbox_id = $1 and dataset_id = $2;

-- name: count_records(sandbox_id, dataset_ids) -> rows
-- The number of accepted documents of these datasets that are there now; datasets without any are missing. Walks batch_dataset_idx.
select dataset_id, sum(record_count)::bigint as count
  from gateway.batch
 where sandbox_id = $1 and dataset_id = any($2::uuid[])
 group by dataset_id;
