-- Ingestion warnings: problems of accepted documents. There is one row per dataset and code, so sorting them costs little.

-- name: read_warnings(sandbox_id, warning_ids) -> rows
-- The warnings with these ids, existing ones only. Walks ingestion_warning_pkey.
select warning_id, code, message, dataset_id, batch_id, count, first_seen_at, last_seen_at, sample
  from gateway.ingestion_warning
 where sandbox_id = $1 and warning_id = any($2::uuid[]);

-- name: list_warnings(sandbox_id, codes, dataset_id, seen_since, size) -> rows
-- A page of the warnings that pass a filter. Walks the sandbox_id of ingestion_warning_pkey.
select w.warning_id, w.code, w.message, w.dataset_id, w.batch_id, w.count, w.first_seen_at, w.last_seen_at, w.sample
  from gateway.ingestion_warning w
 where w.sandbox_id = $1 and ($2::text[] is null or w.code = any($2)) and ($3::uuid is null or w.dataset_id = $3)
   and ($4::timestamptz is null or w.last_seen_at >= $4)
   {between}
 order by {order}
 limit $5;

-- name: count_warnings(sandbox_id, codes, dataset_id, seen_since) -> value
-- The number of warnings that pass a filter. Walks the sandbox_id of ingestion_warning_pkey.
select count(*)
  from gateway.ingestion_warning
 where sandbox_id = $1 and ($2::text[] is null or code = any($2)) and ($3::uuid is null or dataset_id = $3)
   and ($4::timestamptz is null or last_seen_at >= $4);

-- name: acknowledge_warning(sandbox_id, warning_id) -> row
-- Removes the warning and returns which and how many it was; no row for an unknown one. Walks ingestion_warning_pkey.
delete from gateway.ingestion_warning
 where sandbox_id = $1 and warning_id = $2
returning code, dataset_id, count;

-- name: expire_warnings(sandbox_id, days) -> rows
-- Removes the warnings that were last raised more than so many days ago, and the samples of the others that are older; the next one of its
-- kind is the next sample. Returns the ids of those removed. Walks the sandbox_id of ingestion_warning_pkey.
with unsampled as (
  update gateway.ingestion_warning as w
     set sample = null, xids = '{}'
   where w.sandbox_id = $1 and w.sample is not null
     and w.first_seen_at < (select gateway.now()) - make_interval(secs => $2 * 86400)
     and w.last_seen_at >= (select gateway.now()) - make_interval(secs => $2 * 86400)
)
delete from gateway.ingestion_warning as w
 where w.sandbox_id = $1 and w.last_seen_at < (select gateway.now()) - make_interval(secs => $2 * 86400)
returning w.warning_id;

-- name: purge_samples(sandbox_id, xids) -> rows
-- Removes the samples of the warnings whose documents name any of these identities; the next one of its kind is the next sample. Returns their
-- ids. Walks the sandbox_id of ingestion_warning_pkey.
update gateway.ingestion_warning
   set sample = null, xids = '{}'
 where sandbox_id = $1 and xids && $2::uuid[]
returning warning_id;
