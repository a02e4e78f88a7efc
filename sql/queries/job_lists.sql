-- Lists of jobs. Only `count_open_jobs` looks across sandboxes.

-- name: list_jobs(sandbox_id, statuses, kinds, size) -> rows
-- A page of the jobs of these statuses and kinds; null for all statuses, and for all kinds but recurring ones and exports. By creation it walks job_created_idx;
-- by the last change all of them are sorted.
select job_id, kind, subject, status, input, done, total, metrics, error, attempts, created_at, created_by, started_at, updated_at, receipt
  from gateway.job
 where sandbox_id = $1 and ($2::text[] is null or status = any($2))
   and case when $3::text[] is null then every is null and kind <> 'EXPORT_PROFILES' else kind = any($3) end
   {between}
 order by {order}
 limit $4;

-- name: count_jobs(sandbox_id, statuses, kinds) -> value
-- The number of jobs of these statuses and kinds, as `list_jobs` takes them. Walks the sandbox_id of job_pkey.
select count(*)
  from gateway.job
 where sandbox_id = $1 and ($2::text[] is null or status = any($2))
   and case when $3::text[] is null then every is null and kind <> 'EXPORT_PROFILES' else kind = any($3) end;

-- name: count_open_jobs(attempts) -> rows
-- By kind, in all sandboxes: open jobs that do not recur, the age of the oldest of these in seconds, and open jobs with so many attempts
-- since their last piece. Walks job_due_idx from end to end: it holds what is open.
select kind, count(*) filter (where every is null) as open,
       coalesce(extract(epoch from (select gateway.now()) - min(created_at) filter (where every is null)), 0)::double precision as oldest_seconds,
       count(*) filter (where attempt >= $1) as stalled
  from gateway.job
 where status in ('NEW', 'PROCESSING')
 group by kind;
