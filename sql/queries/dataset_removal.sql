-- Datasets that are emptied: all of their batches go.

-- name: find_batch_removal(sandbox_id, dataset_id) -> value
-- The id of an open job that takes back or deletes a batch of the dataset. Walks batch_dataset_idx and job_open_key.
select j.job_id
  from gateway.batch as b
  join gateway.job as j on j.sandbox_id = $1 and j.subject = b.batch_id and j.kind in ('ABORT_BATCH', 'REVERT_BATCH', 'DELETE_BATCH')
   and j.status in ('NEW', 'PROCESSING')
 where b.sandbox_id = $1 and b.dataset_id = $2 and b.status in ('ABORTING', 'REVERTING', 'DELETING')
 limit 1;

-- name: close_dataset(sandbox_id, dataset_id) -> none
-- Says that the dataset takes nothing, as a job empties it. Walks dataset_pkey.
update gateway.dataset set status = 'DELETING' where sandbox_id = $1 and dataset_id = $2;

-- name: list_batches(sandbox_id, dataset_id) -> rows
-- All batches of the dataset. Walks batch_dataset_idx.
select batch_id from gateway.batch where sandbox_id = $1 and dataset_id = $2;

-- name: remove_batches(sandbox_id, batch_ids) -> none
-- Removes these batches, of which nothing is left. Walks batch_pkey.
delete from gateway.batch where sandbox_id = $1 and batch_id = any($2::uuid[]);

-- name: open_dataset(sandbox_id, dataset_id) -> none
-- Says that the dataset is empty and takes documents again, and removes its warnings. Walks dataset_pkey, and the sandbox_id of ingestion_warning_pkey.
with warned as (
  delete from gateway.ingestion_warning where sandbox_id = $1 and dataset_id = $2
)
update gateway.dataset set status = 'ACTIVE' where sandbox_id = $1 and dataset_id = $2;

-- name: give_back_dataset(sandbox_id, job_id) -> none
-- Says that the dataset which a job was to empty takes documents again, as a change of the configuration: a CTE that nothing reads runs last,
-- so that the sandbox is locked first, as it is by other changes. Walks job_pkey, dataset_pkey and sandbox_pkey.
with opened as (
  update gateway.dataset as d
     set status = 'ACTIVE'
    from gateway.job as j
   where j.sandbox_id = $1 and j.job_id = $2 and d.sandbox_id = $1 and d.dataset_id = j.subject
)
update gateway.sandbox set config_version = config_version + 1 where sandbox_id = $1;
