-- Ingestion warnings: problems of accepted documents. There is one row per dataset and code, so sorting them costs little.

-- name: read_warnings(sandbox_id, warning_ids) -> rows
-- The warnings with these ids, existing ones only. Walks ingestion_warning_pkey.
select warning_id, code, message, dataset_id, batch_id, count, first_seen_at, last_seen_at, sample
  from gateway.ingestion_warning
 where sandbox_id = $1 and warning_id = any($2::uuid[]);

-- name: list_warnings(sandbox_id, after_at, after_id, before_at, before_id, size) -> rows
-- The first warnings between two cursors, the most recently first seen one first. Walks the sandbox_id of ingestion_warning_pkey.
select warning_id, code, message, dataset_id, batch_id, count, first_seen_at, last_seen_at, sample
  from gateway.ingestion_warning
 where sandbox_id = $1
   and (first_seen_at, warning_id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
   and (first_seen_at, warning_id) > (coalesce($4::timestamptz, '-infinity'), coalesce($5::uuid, '00000000-0000-0000-0000-000000000000'))
 order by first_seen_at desc, warning_id desc
 limit $6;

-- name: list_warnings_backward(sandbox_id, after_at, after_id, before_at, before_id, size) -> rows
-- The last warnings between two cursors, the least recently first seen one first. Walks the sandbox_id of ingestion_warning_pkey.
select warning_id, code, message, dataset_id, batch_id, count, first_seen_at, last_seen_at, sample
  from gateway.ingestion_warning
 where sandbox_id = $1
   and (first_seen_at, warning_id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
   and (first_seen_at, warning_id) > (coalesce($4::timestamptz, '-infinity'), coalesce($5::uuid, '00000000-0000-0000-0000-000000000000'))
 order by first_seen_at, warning_id
 limit $6;

-- name: count_warnings(sandbox_id) -> value
-- The number of warnings of the sandbox. Walks the sandbox_id of ingestion_warning_pkey.
select count(*)
  from gateway.ingestion_warning
 where sandbox_id = $1;
