-- Batches: documents that came in together and can be undone together.

-- part: batch
-- The batch `b` that brought something.
from gateway.batch b
 where b.sandbox_id = $1 and b.batch_id = {owner}.batch_id

-- name: read_batches(sandbox_id, batch_ids) -> rows
-- The batches with these ids, existing ones only. Walks batch_pkey.
select batch_id, dataset_id, key, status, record_count, failed_count, created_at, completed_at, created_by, settled_at
  from gateway.batch
 where sandbox_id = $1 and batch_id = any($2::uuid[]);

-- name: find_batch(sandbox_id, dataset_id, key) -> row
-- The batch that the key names now; none if it names none. Walks batch_key_key.
select batch_id, dataset_id, key, status, record_count, failed_count, created_at, completed_at, created_by, settled_at
  from gateway.batch
 where sandbox_id = $1 and dataset_id = $2 and key = $3 and status not in ('ABORTING', 'ABORTED', 'REVERTING', 'REVERTED');

-- name: create_batch(sandbox_id, dataset_id, key, batch_id, created_by) -> row
-- The batch that the key names, which is created with this id unless it exists, and whether it was. None if the id is that of an earlier
-- batch of the key, or if another transaction has just created the batch. Walks batch_key_key.
with created as (
  insert into gateway.batch (sandbox_id, dataset_id, key, batch_id, created_by, status, created_at)
  values ($1, $2, $3, $4, $5, 'LOADING', gateway.now())
  on conflict do nothing
  returning batch_id, dataset_id, key, status, record_count, failed_count, created_at, completed_at, created_by, settled_at
)
select *, true as is_new from created
 union all
select batch_id, dataset_id, key, status, record_count, failed_count, created_at, completed_at, created_by, settled_at, false
  from gateway.batch
 where sandbox_id = $1 and dataset_id = $2 and key = $3 and status not in ('ABORTING', 'ABORTED', 'REVERTING', 'REVERTED');

-- name: list_rolling(sandbox_id, dataset_id) -> rows
-- Today (UTC) and its rolling batches of the dataset; one row without a batch if there is none. Walks batch_dataset_idx.
select day, b.batch_id, b.status
  from date_trunc('day', gateway.now(), 'UTC') as day
  left join gateway.batch b
    on b.sandbox_id = $1 and b.dataset_id = $2 and b.created_at >= day and b.key is null;

-- name: create_rolling(sandbox_id, batch_id, dataset_id, created_by) -> none
-- Creates a rolling batch unless it exists already. Walks batch_pkey.
insert into gateway.batch (sandbox_id, batch_id, dataset_id, created_by, status, created_at)
values ($1, $2, $3, $4, 'LOADING', gateway.now())
on conflict (sandbox_id, batch_id) do nothing;

-- name: list_ended_rolling(sandbox_id, dataset_id, day) -> rows
-- The rolling batches of the dataset from before this day that still take documents. Walks batch_dataset_idx.
select batch_id
  from gateway.batch
 where sandbox_id = $1 and dataset_id = $2 and status = 'LOADING' and created_at < $3 and key is null;

-- name: list_idle(sandbox_id, days, size) -> rows
-- Up to `size` batches that take documents and got none for so many days. Walks batch_dataset_idx.
select batch_id
  from gateway.batch
 cross join gateway.now() as stamp
 where sandbox_id = $1 and status = 'LOADING' and coalesce(last_document_at, created_at) < stamp - make_interval(days => $2)
 limit $3;

-- name: complete_batches(sandbox_id, batch_ids) -> rows
-- Completes those of the batches that are LOADING, and returns their new states. One has FAILED unless a document was accepted or is a duplicate. Walks batch_pkey
-- and event_resend_batch_idx.
with stamp as materialized (
  select gateway.now() as at
), resent as materialized (
  select distinct batch_id
    from gateway.event_resend
   where sandbox_id = $1 and batch_id = any($2::uuid[])
)
update gateway.batch
   set status = case when record_count > 0 or batch_id in (select batch_id from resent) then 'ACTIVE' else 'FAILED' end,
       completed_at = (select at from stamp)
 where sandbox_id = $1 and batch_id = any($2::uuid[]) and status = 'LOADING'
returning status;
