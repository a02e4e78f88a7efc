-- Leases: a job is done piece by piece, by one worker at a time. `claim_job` and `is_waited_for` look across sandboxes.

-- name: claim_job(kinds, lease, seconds, longest_pause, single) -> row
-- A due job of these kinds, leased for so many seconds, from the sandbox from which none was claimed for longest; jobs that another worker
-- is leasing now are skipped, and so is one of a single kind as long as another of that kind has begun in its
-- sandbox, and has more to do than to wait for edges (done_at). One whose lease ran out
-- waits longer with each attempt. The first claim of a run of a recurring job ends what
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
               and not (kind = any($5::text[]) and receipt is null
                        and exists (select
                                      from gateway.job as other
                                     where other.sandbox_id = waiting.sandbox_id and other.kind = job.kind and other.status in ('NEW', 'PROCESSING')
                                       and other.receipt is not null and other.cursor ->> 'done_at' is null))
             order by due_at, created_at
             limit 1
               for update skip locked) job
      limit 1)
update gateway.job as j
   set status = 'PROCESSING', lease = $2, attempt = j.attempt + 1, attempts = j.attempts + 1,
       error = case when j.status = 'NEW' or j.lease is null then j.error else 'The worker that had it was lost.' end,
       started_at = case j.attempts when 0 then stamp else j.started_at end,
       done = case j.attempts when 0 then 0 else j.done end, total = case j.attempts when 0 then null else j.total end,
       metrics = case j.attempts when 0 then '{}' else j.metrics end,
       receipt = case when j.attempts > 0 then j.receipt end, claimed_at = stamp, due_at = stamp + make_interval(secs => $3), updated_at = stamp
  from next, gateway.now() as stamp
 where j.sandbox_id = next.sandbox_id and j.job_id = next.job_id
returning j.sandbox_id, j.job_id, j.kind, j.subject, j.input, j.cursor, j.done, j.total, j.metrics, j.receipt, j.attempt;

-- name: is_waited_for(kinds, served) -> value
-- Whether a job of these kinds is due in a sandbox that is not among those served. Walks job_due_idx over what is due.
select exists (select
                 from gateway.job
                where status in ('NEW', 'PROCESSING') and due_at <= (select gateway.now()) and kind = any($1::text[])
                  and sandbox_id <> all($2::bigint[]));

-- name: is_another_begun(sandbox_id, kind, job_id) -> value
-- Whether another open job of this kind has a receipt, which it has from its first piece on, and more to do than to wait for edges. Walks job_open_key.
select exists (select
                 from gateway.job as other
                where sandbox_id = $1 and kind = $2 and status in ('NEW', 'PROCESSING') and receipt is not null and job_id <> $3
                  and other.cursor ->> 'done_at' is null);

-- name: extend_lease(sandbox_id, job_id, lease, seconds) -> value
-- The job's id if the lease holds, which is extended by so many seconds. Walks job_pkey.
update gateway.job
   set due_at = gateway.now() + make_interval(secs => $4)
 where sandbox_id = $1 and job_id = $2 and lease = $3
returning job_id;

-- name: advance_job(sandbox_id, job_id, lease, seconds, cursor, metrics, receipt, done, total) -> value
-- The job's id if the lease holds: store the progress of a piece. Walks job_pkey.
update gateway.job
   set cursor = $5, metrics = $6, receipt = $7, done = $8, total = $9, attempt = 0, error = null,
       due_at = stamp + make_interval(secs => $4), updated_at = stamp
  from gateway.now() as stamp
 where sandbox_id = $1 and job_id = $2 and lease = $3
returning job_id;

-- name: release_job(sandbox_id, job_id, lease, status, seconds, error, attempt) -> value
-- The job's id if the lease held until now: end the job, or put it off by so many seconds; `attempt` is how many attempts count since its
-- last piece. What a job was to do, counted when it began, may have become less or more meanwhile: a completed one has done all there was.
-- Walks job_pkey.
update gateway.job
   set status = $4, total = case when $4 = 'COMPLETED' then done else total end, lease = null, due_at = stamp + make_interval(secs => $5),
       error = $6, attempt = $7, updated_at = stamp
  from gateway.now() as stamp
 where sandbox_id = $1 and job_id = $2 and lease = $3
returning job_id;

-- name: rearm_job(sandbox_id, job_id, lease) -> value
-- The job's id if the lease held until now: a recurring job that is done is due again after its interval, or after an
-- hour if somebody asked for it before it was scheduled. Walks job_pkey.
update gateway.job
   set status = 'NEW', lease = null, due_at = stamp + coalesce(every, interval '1 hour'), cursor = null, attempt = 0, attempts = 0, error = null, updated_at = stamp
  from gateway.now() as stamp
 where sandbox_id = $1 and job_id = $2 and lease = $3
returning job_id;
