-- Batches: documents that came in together and can be undone together.

-- name: read_batches(sandbox_id, batch_ids) -> rows
-- The batches with these ids, existing ones only. Walks batch_pkey.
select batch_id, dataset_id, key, status, record_count, failed_count, created_at, completed_at, created_by
  from gateway.batch
 where sandbox_id = $1 and batch_id = any($2::uuid[]);

-- name: find_batch(sandbox_id, dataset_id, key) -> row
-- The batch that the key names now; none if it names none. Walks batch_key_key.
select batch_id, dataset_id, key, status, record_count, failed_count, created_at, completed_at, created_by
  from gateway.batch
 where sandbox_id = $1 and dataset_id = $2 and key = $3 and status not in ('ABORTING', 'ABORTED', 'REVERTING', 'REVERTED');

-- name: create_batch(sandbox_id, dataset_id, key, batch_id, created_by) -> row
-- The batch that the key names, which is created with this id unless it exists; none if another transaction has just created it. Walks
-- batch_key_key.
with created as (
  insert into gateway.batch (sandbox_id, dataset_id, key, batch_id, created_by, status, created_at)
  values ($1, $2, $3, $4, $5, 'LOADING', gateway.now())
  on conflict do nothing
  returning batch_id, dataset_id, key, status, record_count, failed_count, created_at, completed_at, created_by
)
select * from created
 union all
select batch_id, dataset_id, key, status, record_count, failed_count, created_at, completed_at, created_by
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
-- Completes those of the batches that are LOADING, and returns their new states. One has FAILED unless a document was accepted or is a duplicate. Walks batch_pkey,
-- record_batch_idx, event_batch_idx and event_resend_batch_idx.
update gateway.batch as b
   set status = case when record_count > 0
                       or exists (select from gateway.record as r where r.sandbox_id = $1 and r.batch_id = b.batch_id)
                       or exists (select from gateway.event as e where e.sandbox_id = $1 and e.batch_id = b.batch_id)
                       or exists (select from gateway.event_resend as r where r.sandbox_id = $1 and r.batch_id = b.batch_id)
                     then 'ACTIVE' else 'FAILED' end,
       completed_at = gateway.now()
 where sandbox_id = $1 and batch_id = any($2::uuid[]) and status = 'LOADING'
returning status;

-- name: list_batches(sandbox_id, dataset_ids, after_at, after_id, before_at, before_id, size) -> rows
-- The first batches of each dataset between two cursors, newest first. Walks batch_dataset_idx once for each dataset.
select b.batch_id, b.dataset_id, b.key, b.status, b.record_count, b.failed_count, b.created_at, b.completed_at, b.created_by
  from gateway.dataset d
 cross join lateral (
       select *
         from gateway.batch
        where sandbox_id = $1 and dataset_id = d.dataset_id
          and (created_at, batch_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
          and (created_at, batch_id) > (coalesce($5::timestamptz, '-infinity'), coalesce($6::uuid, '00000000-0000-0000-0000-000000000000'))
        order by created_at desc, batch_id desc
        limit $7) b
 where d.sandbox_id = $1 and d.dataset_id = any($2::uuid[])
 order by b.dataset_id, b.created_at desc, b.batch_id desc;

-- name: list_batches_backward(sandbox_id, dataset_ids, after_at, after_id, before_at, before_id, size) -> rows
-- The last batches of each dataset between two cursors, oldest first. Walks batch_dataset_idx once for each dataset.
select b.batch_id, b.dataset_id, b.key, b.status, b.record_count, b.failed_count, b.created_at, b.completed_at, b.created_by
  from gateway.dataset d
 cross join lateral (
       select *
         from gateway.batch
        where sandbox_id = $1 and dataset_id = d.dataset_id
          and (created_at, batch_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
          and (created_at, batch_id) > (coalesce($5::timestamptz, '-infinity'), coalesce($6::uuid, '00000000-0000-0000-0000-000000000000'))
        order by created_at, batch_id
        limit $7) b
 where d.sandbox_id = $1 and d.dataset_id = any($2::uuid[])
 order by b.dataset_id, b.created_at, b.batch_id;

-- name: count_batches(sandbox_id, dataset_ids) -> rows
-- The number of batches of these datasets; datasets without any are missing. Walks batch_dataset_idx.
select dataset_id, count(*) as count
  from gateway.batch
 where sandbox_id = $1 and dataset_id = any($2::uuid[])
 group by dataset_id;

-- name: list_errors(sandbox_id, batch_ids, after, before, size) -> rows
-- The first refused documents of each batch between two cursors, by arrival. Walks ingest_error_pkey once for each batch.
select e.batch_id, e.ordinal, e.index, e.path, e.code, e.message, e.document
  from gateway.batch b
 cross join lateral (
       select *
         from gateway.ingest_error
        where sandbox_id = $1 and batch_id = b.batch_id
          and ordinal > coalesce($3::bigint, -1) and ordinal < coalesce($4::bigint, 9223372036854775807)
        order by ordinal
        limit $5) e
 where b.sandbox_id = $1 and b.batch_id = any($2::uuid[])
 order by e.batch_id, e.ordinal;

-- name: list_errors_backward(sandbox_id, batch_ids, after, before, size) -> rows
-- The last refused documents of each batch between two cursors, last first. Walks ingest_error_pkey once for each batch.
select e.batch_id, e.ordinal, e.index, e.path, e.code, e.message, e.document
  from gateway.batch b
 cross join lateral (
       select *
         from gateway.ingest_error
        where sandbox_id = $1 and batch_id = b.batch_id
          and ordinal > coalesce($3::bigint, -1) and ordinal < coalesce($4::bigint, 9223372036854775807)
        order by ordinal desc
        limit $5) e
 where b.sandbox_id = $1 and b.batch_id = any($2::uuid[])
 order by e.batch_id, e.ordinal desc;

-- name: count_errors(sandbox_id, batch_ids) -> rows
-- The number of stored refused documents of these batches; batches without any are missing. Walks ingest_error_pkey.
select batch_id, count(*) as count
  from gateway.ingest_error
 where sandbox_id = $1 and batch_id = any($2::uuid[])
 group by batch_id;

-- name: list_failed_indexes(sandbox_id, batch_id) -> rows
-- The indexes of the batch's refused documents in the client's input, each once. Walks ingest_error_pkey.
select distinct index
  from gateway.ingest_error
 where sandbox_id = $1 and batch_id = $2
 order by index;
