-- Jobs: long work, from its cause to the time when it is forgotten. Only `schedule_jobs` looks across sandboxes.

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

-- name: hasten_job(sandbox_id, kind, subject) -> none
-- Let the job of this kind about this subject be due now, if it waits. Walks job_open_key.
update gateway.job
   set due_at = least(due_at, gateway.now())
 where sandbox_id = $1 and kind = $2 and subject = $3 and status = 'NEW';

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

-- name: read_jobs(sandbox_id, job_ids) -> rows
-- The jobs with these ids. Walks job_pkey.
select job_id, kind, subject, status, input, done, total, metrics, error, attempts, created_at, created_by, started_at, updated_at, receipt
  from gateway.job
 where sandbox_id = $1 and job_id = any($2::uuid[]);

-- name: lock_job(sandbox_id, job_id) -> rows
-- The job with this id, which keeps its status until the transaction ends. Walks job_pkey.
select job_id, kind, subject, status, input, done, total, metrics, error, attempts, created_at, created_by, started_at, updated_at, receipt
  from gateway.job
 where sandbox_id = $1 and job_id = $2
   for no key update;

-- name: expire_jobs(sandbox_id, days, size) -> rows
-- Remove up to `size` jobs that ended more than so many days ago, and return their ids; those that have a receipt stay, and exports whose files
-- are there. Walks job_pkey, and export_file_pkey once for each.
delete from gateway.job
 where sandbox_id = $1
   and job_id in (select job_id
                    from gateway.job
                   where sandbox_id = $1 and status in ('COMPLETED', 'FAILED', 'CANCELLED') and receipt is null
                     and updated_at < (select gateway.now()) - make_interval(secs => $2 * 86400)
                     and not exists (select from gateway.export_file as f where f.sandbox_id = $1 and f.job_id = job.job_id)
                   limit $3)
returning job_id;
