-- batch_lists.list_batches
select b.batch_id, b.dataset_id, b.key, b.status, b.record_count, b.failed_count, b.created_at, b.completed_at, b.created_by, b.settled_at
  from gateway.batch b
 where b.sandbox_id = $1
   and ($2::text[] is null or b.status = any($2)) and ($3::text is null or b.key = $3)
   and (b.created_at, b.batch_id) > (coalesce($4::timestamptz, '-infinity'), coalesce($5::uuid, '00000000-0000-0000-0000-000000000000'))
   and (b.created_at, b.batch_id) < (coalesce($6::timestamptz, 'infinity'), coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
   
 order by b.created_at asc, b.batch_id asc
 limit $8;

-- batch_lists.list_batches
select b.batch_id, b.dataset_id, b.key, b.status, b.record_count, b.failed_count, b.created_at, b.completed_at, b.created_by, b.settled_at
  from gateway.batch b
 where b.sandbox_id = $1
   and ($2::text[] is null or b.status = any($2)) and ($3::text is null or b.key = $3)
   and (b.created_at, b.batch_id) > (coalesce($4::timestamptz, '-infinity'), coalesce($5::uuid, '00000000-0000-0000-0000-000000000000'))
   and (b.created_at, b.batch_id) < (coalesce($6::timestamptz, 'infinity'), coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
   
 order by b.created_at desc, b.batch_id desc
 limit $8;

-- batch_lists.list_batches
select b.batch_id, b.dataset_id, b.key, b.status, b.record_count, b.failed_count, b.created_at, b.completed_at, b.created_by, b.settled_at
  from gateway.batch b
 where b.sandbox_id = $1
   and ($2::text[] is null or b.status = any($2)) and ($3::text is null or b.key = $3)
   and (b.created_at, b.batch_id) > (coalesce($4::timestamptz, '-infinity'), coalesce($5::uuid, '00000000-0000-0000-0000-000000000000'))
   and (b.created_at, b.batch_id) < (coalesce($6::timestamptz, 'infinity'), coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
   
 order by b.failed_count asc, b.batch_id asc
 limit $8;

-- batch_lists.list_batches_of_datasets
select b.batch_id, b.dataset_id, b.key, b.status, b.record_count, b.failed_count, b.created_at, b.completed_at, b.created_by, b.settled_at
  from gateway.dataset d
 cross join lateral (
       select *
         from gateway.batch b
        where b.sandbox_id = $1 and b.dataset_id = d.dataset_id
          and ($3::text[] is null or b.status = any($3)) and ($4::text is null or b.key = $4)
          and (b.created_at, b.batch_id) > (coalesce($5::timestamptz, '-infinity'), coalesce($6::uuid, '00000000-0000-0000-0000-000000000000'))
          and (b.created_at, b.batch_id) < (coalesce($7::timestamptz, 'infinity'), coalesce($8::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
          
        order by b.record_count asc, b.batch_id asc
        limit $9) b
 where d.sandbox_id = $1 and d.dataset_id = any($2::uuid[])
 order by b.record_count asc, b.batch_id asc;
