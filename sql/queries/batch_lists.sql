-- Lists of batches. A parameter that is null is no condition. Creation has one bound at either end, be it the filter's or the cursor's: of
-- two, an index would be entered by any of them.

-- name: list_batches(sandbox_id, statuses, key, first_at, first_id, last_at, last_id, size) -> rows
-- A page of the batches that pass a filter. By creation it walks batch_created_idx; by a count all of them are sorted.
select b.batch_id, b.dataset_id, b.key, b.status, b.record_count, b.failed_count, b.created_at, b.completed_at, b.created_by, b.settled_at
  from gateway.batch b
 where b.sandbox_id = $1
   and ($2::text[] is null or b.status = any($2)) and ($3::text is null or b.key = $3)
   and (b.created_at, b.batch_id) > (coalesce($4::timestamptz, '-infinity'), coalesce($5::uuid, '00000000-0000-0000-0000-000000000000'))
   and (b.created_at, b.batch_id) < (coalesce($6::timestamptz, 'infinity'), coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
   {between}
 order by {order}
 limit $8;

-- name: list_batches_of_datasets(sandbox_id, dataset_ids, statuses, key, first_at, first_id, last_at, last_id, size) -> rows
-- A page of the batches of each dataset that pass a filter. By creation it walks batch_dataset_idx once for each dataset; by a count all of
-- them are sorted.
select b.batch_id, b.dataset_id, b.key, b.status, b.record_count, b.failed_count, b.created_at, b.completed_at, b.created_by, b.settled_at
  from gateway.dataset d
 cross join lateral (
       select *
         from gateway.batch b
        where b.sandbox_id = $1 and b.dataset_id = d.dataset_id
          and ($3::text[] is null or b.status = any($3)) and ($4::text is null or b.key = $4)
          and (b.created_at, b.batch_id) > (coalesce($5::timestamptz, '-infinity'), coalesce($6::uuid, '00000000-0000-0000-0000-000000000000'))
          and (b.created_at, b.batch_id) < (coalesce($7::timestamptz, 'infinity'), coalesce($8::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
          {between}
        order by {order}
        limit $9) b
 where d.sandbox_id = $1 and d.dataset_id = any($2::uuid[])
 order by {order};

-- name: count_batches(sandbox_id, dataset_ids, statuses, key, since, until) -> rows
-- The number of batches that pass a filter, of these datasets or of all; datasets without any are missing. Walks batch_dataset_idx.
select b.dataset_id, count(*) as count
  from gateway.batch b
 where b.sandbox_id = $1
   and b.dataset_id = any(coalesce($2::uuid[], (select array_agg(d.dataset_id) from gateway.dataset d where d.sandbox_id = $1)))
   and ($3::text[] is null or b.status = any($3)) and ($4::text is null or b.key = $4)
   and b.created_at >= coalesce($5::timestamptz, '-infinity') and b.created_at < coalesce($6::timestamptz, 'infinity')
 group by b.dataset_id;
