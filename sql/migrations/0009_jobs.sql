-- Jobs say what was asked for, by whom, what they did and how often they were tried; of equal ones at most one is open.

alter table gateway.job drop constraint job_kind_known;
update gateway.job set kind = upper(kind);
alter table gateway.job
  add constraint job_kind_known check (kind in ('MATERIALIZE_POLICY', 'REGROUP_IDENTITIES', 'ABORT_BATCH', 'EXPIRE_CHANGES', 'COMPLETE_BATCHES', 'EXPIRE_JOBS')),
  add column input json,
  add column metrics json not null default '{}',
  add column every interval,
  add column attempts integer not null default 0,
  add column created_by text,
  add column started_at timestamptz,
  add column claimed_at timestamptz;
alter table gateway.job alter column metrics drop default;

update gateway.job set attempts = 1 where status <> 'NEW' or cursor is not null;
update gateway.job as older
   set status = 'CANCELLED', lease = null
 where status in ('NEW', 'PROCESSING')
   and exists (select from gateway.job newer
                where newer.sandbox_id = older.sandbox_id and newer.kind = older.kind and newer.subject = older.subject
                  and newer.status in ('NEW', 'PROCESSING') and (newer.created_at, newer.job_id) > (older.created_at, older.job_id));
drop index gateway.job_open_idx;
create unique index job_open_key on gateway.job (sandbox_id, kind, subject) where status in ('NEW', 'PROCESSING');
create index job_claimed_idx on gateway.job (sandbox_id, claimed_at);
create index job_created_idx on gateway.job (sandbox_id, created_at, job_id);
