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
          
        order by b.created_at desc, b.batch_id desc
        limit $9) b
 where d.sandbox_id = $1 and d.dataset_id = any($2::uuid[])
 order by b.created_at desc, b.batch_id desc;
