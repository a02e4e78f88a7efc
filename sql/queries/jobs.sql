-- Jobs: long work, piece by piece, by one worker at a time. Only `claim_job`, `schedule_jobs` and those that count look across sandboxes.

-- name: enqueue_job(sandbox_id, job_id, kind, subject, input, created_by, seconds) -> value
-- Add a job that is due so many seconds after its transaction, and return its id; none if an open job of the kind about the subject
-- exists. Walks job_open_key.
insert into gateway.job (sandbox_id, job_id, kind, subject, status, input, metrics, due_at, created_at, created_by, updated_at)
select $1, $2, $3, $4, 'NEW', $5, '{}', stamp + make_interval(secs => $7), stamp, $6, stamp
  from gateway.now() as stamp
    on conflict (sandbox_id, kind, subject) where status in ('NEW', 'PROCESSING') do nothing
returning job_id;

-- name: find_open_job(sandbox_id, kind, subject) -> value
-- The id of the open job of this kind about this subject. Walks job_open_key.
select job_id
  from gateway.job
 where sandbox_id = $1 and kind = $2 and subject = $3 and status in ('NEW', 'PROCESSING');

-- name: end_jobs(sandbox_id, kind, subject, status) -> none
-- End the open job of this kind about this subject: the lease of a running one is gone at its next piece. Walks job_open_key.
update gateway.job
   set status = $4, lease = null, updated_at = gateway.now()
 where sandbox_id = $1 and kind = $2 and subject = $3 and status in ('NEW', 'PROCESSING');

-- name: schedule_jobs(kinds, intervals, subject, created_by) -> none
-- Add a recurring job of each kind to the sandboxes that have none, and let one whose interval is another by now have the new one, from its
-- next run on. A sandbox that is being deleted is left out. Walks job_open_key for each pair.
insert into gateway.job (sandbox_id, job_id, kind, subject, status, metrics, every, due_at, created_at, created_by, updated_at)
select sandbox_id, gen_random_uuid(), kind, $3, 'NEW', '{}', every, stamp + every, stamp, $4, stamp
  from (select sandbox_id from gateway.sandbox for key share skip locked) sandboxes,
       unnest($1::text[], $2::interval[]) as rule(kind, every), gateway.now() as stamp
 where not exists (select from gateway.job j
                    where j.sandbox_id = sandboxes.sandbox_id and j.kind = rule.kind and j.subject = $3
                      and j.status in ('NEW', 'PROCESSING') and j.every = rule.every)
    on conflict (sandbox_id, kind, subject) where status in ('NEW', 'PROCESSING') do update set every = excluded.every;

-- name: claim_job(kinds, lease, seconds, longest_pause) -> row
-- A due job of these kinds, leased for so many seconds, from the sandbox from which none was claimed for longest; jobs that another worker
-- is leasing now are skipped. One whose lease ran out waits longer with each attempt. The first claim of a run of a recurring job ends what
-- is told of its last run. Walks job_due_idx over all that is due, and job_claimed_idx for each sandbox among these; the join keeps the order
-- of the sandboxes, so that one job is locked.
with waiting as materialized (
     select sandbox_id, (select max(j.claimed_at) from gateway.job j where j.sandbox_id = due.sandbox_id) as served_at
       from (select distinct sandbox_id
               from gateway.job
              where status in ('NEW', 'PROCESSING') and due_at <= (select gateway.now()) and kind = any($1::text[])) due
      order by served_at nulls first, sandbox_id),
     next as materialized (
     select job.sandbox_id, job.job_id
       from waiting
            cross join lateral (
            select sandbox_id, job_id
              from gateway.job
             where sandbox_id = waiting.sandbox_id and kind = any($1::text[]) and status in ('NEW', 'PROCESSING')
               and due_at + case status when 'NEW' then '0' else make_interval(secs => least(2 ^ least(attempt, 20) - 2, $4)) end <= (select gateway.now())
             order by due_at, created_at
             limit 1
               for update skip locked) job
      limit 1)
update gateway.job as j
   set status = 'PROCESSING', lease = $2, attempt = j.attempt + 1, attempts = j.attempts + 1,
       error = case j.status when 'NEW' then j.error else 'The worker that had it was lost.' end,
       started_at = case j.attempts when 0 then stamp else j.started_at end,
       done = case j.attempts when 0 then 0 else j.done end, total = case j.attempts when 0 then null else j.total end,
       metrics = case j.attempts when 0 then '{}' else j.metrics end, claimed_at = stamp, due_at = stamp + make_interval(secs => $3), updated_at = stamp
  from next, gateway.now() as stamp
 where j.sandbox_id = next.sandbox_id and j.job_id = next.job_id
returning j.sandbox_id, j.job_id, j.kind, j.subject, j.input, j.cursor, j.done, j.total, j.metrics, j.attempt;

-- name: extend_lease(sandbox_id, job_id, lease, seconds) -> value
-- The job's id if the lease holds, which is extended by so many seconds. Walks job_pkey.
update gateway.job
   set due_at = gateway.now() + make_interval(secs => $4)
 where sandbox_id = $1 and job_id = $2 and lease = $3
returning job_id;

-- name: advance_job(sandbox_id, job_id, lease, seconds, cursor, metrics, done, total) -> value
-- The job's id if the lease holds: store the progress of a piece. Walks job_pkey.
update gateway.job
   set cursor = $5, metrics = $6, done = $7, total = $8, attempt = 0, error = null,
       due_at = stamp + make_interval(secs => $4), updated_at = stamp
  from gateway.now() as stamp
 where sandbox_id = $1 and job_id = $2 and lease = $3
returning job_id;

-- name: release_job(sandbox_id, job_id, lease, status, seconds, error) -> value
-- The job's id if the lease held until now: end the job, or put it off by so many seconds. Walks job_pkey.
update gateway.job
   set status = $4, lease = null, due_at = stamp + make_interval(secs => $5), error = $6, updated_at = stamp
  from gateway.now() as stamp
 where sandbox_id = $1 and job_id = $2 and lease = $3
returning job_id;

-- name: rearm_job(sandbox_id, job_id, lease) -> value
-- The job's id if the lease held until now: a recurring job that is done is due again after its interval. Walks job_pkey.
update gateway.job
   set status = 'NEW', lease = null, due_at = stamp + every, cursor = null, attempt = 0, attempts = 0, error = null, updated_at = stamp
  from gateway.now() as stamp
 where sandbox_id = $1 and job_id = $2 and lease = $3
returning job_id;

-- name: expire_jobs(sandbox_id, days, size) -> rows
-- Remove up to `size` jobs that ended more than so many days ago, and return their ids. Walks job_pkey.
delete from gateway.job
 where sandbox_id = $1
   and job_id in (select job_id
                    from gateway.job
                   where sandbox_id = $1 and status in ('COMPLETED', 'FAILED', 'CANCELLED')
                     and updated_at < (select gateway.now()) - make_interval(secs => $2 * 86400)
                   limit $3)
returning job_id;

-- name: read_jobs(sandbox_id, job_ids) -> rows
-- The jobs with these ids. Walks job_pkey.
select job_id, kind, subject, status, input, done, total, metrics, error, attempts, created_at, created_by, started_at, updated_at
  from gateway.job
 where sandbox_id = $1 and job_id = any($2::uuid[]);

-- name: lock_job(sandbox_id, job_id) -> rows
-- The job with this id, which keeps its status until the transaction ends. Walks job_pkey.
select job_id, kind, subject, status, input, done, total, metrics, error, attempts, created_at, created_by, started_at, updated_at
  from gateway.job
 where sandbox_id = $1 and job_id = $2
   for no key update;

-- name: list_newest_jobs(sandbox_id, kinds, subjects) -> rows
-- The newest job of each of these kinds about the subject beside it. Walks job_subject_idx.
select distinct on (kind, subject) job_id, kind, subject, status, input, done, total, metrics, error, attempts, created_at, created_by, started_at, updated_at
  from gateway.job
 where sandbox_id = $1 and subject = any($3::uuid[]) and (kind, subject) in (select * from unnest($2::text[], $3::uuid[]))
 order by kind, subject, created_at desc, status in ('NEW', 'PROCESSING') desc;

-- name: list_jobs(sandbox_id, statuses, kinds, after_at, after_id, before_at, before_id, size) -> rows
-- Jobs of these statuses and kinds between two keys, the earliest first; null for all statuses, and for all kinds but
-- recurring ones. Walks job_created_idx, or the sandbox_id of job_pkey by another order.
select job_id, kind, subject, status, input, done, total, metrics, error, attempts, created_at, created_by, started_at, updated_at
  from gateway.job
 where sandbox_id = $1 and ($2::text[] is null or status = any($2)) and case when $3::text[] is null then every is null else kind = any($3) end
   and ({at}, job_id) > (coalesce($4::timestamptz, '-infinity'), coalesce($5::uuid, '00000000-0000-0000-0000-000000000000'))
   and ({at}, job_id) < (coalesce($6::timestamptz, 'infinity'), coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
 order by {at}, job_id
 limit $8;

-- name: list_jobs_backward(sandbox_id, statuses, kinds, after_at, after_id, before_at, before_id, size) -> rows
-- The same, the latest first. Walks job_created_idx, or the sandbox_id of job_pkey by another order.
select job_id, kind, subject, status, input, done, total, metrics, error, attempts, created_at, created_by, started_at, updated_at
  from gateway.job
 where sandbox_id = $1 and ($2::text[] is null or status = any($2)) and case when $3::text[] is null then every is null else kind = any($3) end
   and ({at}, job_id) > (coalesce($4::timestamptz, '-infinity'), coalesce($5::uuid, '00000000-0000-0000-0000-000000000000'))
   and ({at}, job_id) < (coalesce($6::timestamptz, 'infinity'), coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
 order by {at} desc, job_id desc
 limit $8;

-- name: count_jobs(sandbox_id, statuses, kinds) -> value
-- The number of jobs of these statuses and kinds, as `list_jobs` takes them. Walks the sandbox_id of job_pkey.
select count(*)
  from gateway.job
 where sandbox_id = $1 and ($2::text[] is null or status = any($2))
   and case when $3::text[] is null then every is null else kind = any($3) end;

-- name: count_open_jobs(attempts) -> rows
-- By kind, in all sandboxes: open jobs that do not recur, the age of the oldest of these in seconds, and open jobs with so many attempts
-- since their last piece. Walks job_due_idx from end to end: it holds what is open.
select kind, count(*) filter (where every is null) as open,
       coalesce(extract(epoch from (select gateway.now()) - min(created_at) filter (where every is null)), 0)::double precision as oldest_seconds,
       count(*) filter (where attempt >= $1) as stalled
  from gateway.job
 where status in ('NEW', 'PROCESSING')
 group by kind;
