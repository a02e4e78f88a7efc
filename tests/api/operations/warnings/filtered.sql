-- warnings.list_warnings
select w.warning_id, w.code, w.message, w.dataset_id, w.batch_id, w.count, w.first_seen_at, w.last_seen_at, w.sample
  from gateway.ingestion_warning w
 where w.sandbox_id = $1 and ($2::text[] is null or w.code = any($2)) and ($3::uuid is null or w.dataset_id = $3)
   and ($4::timestamptz is null or w.last_seen_at >= $4)
   
 order by w.count desc, w.warning_id desc
 limit $5;

-- warnings.list_warnings
select w.warning_id, w.code, w.message, w.dataset_id, w.batch_id, w.count, w.first_seen_at, w.last_seen_at, w.sample
  from gateway.ingestion_warning w
 where w.sandbox_id = $1 and ($2::text[] is null or w.code = any($2)) and ($3::uuid is null or w.dataset_id = $3)
   and ($4::timestamptz is null or w.last_seen_at >= $4)
   
 order by w.first_seen_at asc, w.warning_id asc
 limit $5;

-- warnings.list_warnings
select w.warning_id, w.code, w.message, w.dataset_id, w.batch_id, w.count, w.first_seen_at, w.last_seen_at, w.sample
  from gateway.ingestion_warning w
 where w.sandbox_id = $1 and ($2::text[] is null or w.code = any($2)) and ($3::uuid is null or w.dataset_id = $3)
   and ($4::timestamptz is null or w.last_seen_at >= $4)
   
 order by w.last_seen_at desc, w.warning_id desc
 limit $5;
