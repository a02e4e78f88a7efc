-- Jobs: long work, step by step, by one worker at a time. Only `claim_job` looks across sandboxes.

-- name: enqueue_job(sandbox_id, job_id, kind, subject, seconds) -> none
-- Add a job that is due so many seconds after its transaction. Walks job_pkey.
insert into gateway.job (sandbox_id, job_id, kind, subject, status, due_at, created_at, updated_at)
select $1, $2, $3, $4, 'NEW', stamp + make_interval(secs => $5), stamp, stamp
  from gateway.now() as stamp;

-- name: end_jobs(sandbox_id, kind, subject, status) -> none
-- End the open jobs of this kind about this subject: the lease of a running one is gone at its next step. Walks job_open_idx.
update gateway.job
   set status = $4, lease = null, updated_at = gateway.now()
 where sandbox_id = $1 and kind = $2 and subject = $3 and status in ('NEW', 'PROCESSING');

-- name: claim_job(kinds, lease, seconds) -> row
-- The job that has been due for longest, leased for so many seconds; jobs that another worker is leasing now are skipped. Walks job_due_idx as far as one row.
with due as materialized (
     select sandbox_id, job_id
       from gateway.job
      where status in ('NEW', 'PROCESSING') and due_at <= (select gateway.now()) and kind = any($1::text[])
      order by due_at
      limit 1
        for update skip locked)
update gateway.job as j
   set status = 'PROCESSING', lease = $2, attempt = j.attempt + 1, due_at = stamp + make_interval(secs => $3), updated_at = stamp
  from due, gateway.now() as stamp
 where j.sandbox_id = due.sandbox_id and j.job_id = due.job_id
returning j.sandbox_id, j.job_id, j.kind, j.subject, j.cursor, j.done, j.total, j.attempt;

-- name: extend_lease(sandbox_id, job_id, lease, seconds) -> value
-- The job's id if the lease holds, which is extended by so many seconds. Walks job_pkey.
update gateway.job
   set due_at = gateway.now() + make_interval(secs => $4)
 where sandbox_id = $1 and job_id = $2 and lease = $3
returning job_id;

-- name: advance_job(sandbox_id, job_id, lease, seconds, cursor, done, total) -> value
-- The job's id if the lease holds: store the progress of a step. Walks job_pkey.
update gateway.job
   set cursor = $5, done = $6, total = $7, attempt = 0, error = null,
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

-- name: list_jobs(sandbox_id, size) -> rows
-- Jobs of the sandbox, newest first. Walks job_pkey.
select job_id, kind, subject, status, done, total, error, created_at, updated_at
  from gateway.job
 where sandbox_id = $1
 order by created_at desc, job_id
 limit $2;

-- name: is_open(sandbox_id, kind, subject) -> value
-- Whether an open job of this kind about this subject exists. Walks job_open_idx.
select exists (select from gateway.job
                where sandbox_id = $1 and kind = $2 and subject = $3 and status in ('NEW', 'PROCESSING'));
