-- Long work: leased by one worker at a time, committed piece by piece, and continued where a crash left it.

create table gateway.job (
  sandbox_id bigint not null references gateway.sandbox on delete cascade,
  job_id     uuid not null,
  kind       text not null constraint job_kind_known check (kind in ('MATERIALIZE_POLICY', 'REGROUP_IDENTITIES', 'ABORT_BATCH', 'EXPIRE_EVENTS', 'EXPIRE_PROFILES', 'EXPIRE_ERRORS', 'EXPIRE_CHANGES', 'COMPLETE_BATCHES', 'EXPIRE_JOBS', 'DELETE_DATASET', 'DELETE_BATCH', 'REVERT_BATCH', 'EXPIRE_VERSIONS', 'DELETE_PROFILE', 'BUILD_SEARCH_INDEX', 'EXPIRE_SEARCH_INDEXES', 'BACKFILL_COMPUTED_ATTRIBUTE', 'EXPIRE_COMPUTED_PARTIALS', 'REFRESH_KEPT_VALUES', 'REPORT_PREVIEWS', 'EXPORT_PROFILES', 'EXPIRE_EXPORTS', 'BACKFILL_PROJECTION')),
  subject    uuid not null,                                                       -- the policy, the dataset or the batch that it works on; nil: the sandbox
  status     text not null constraint job_status_known check (status in ('NEW', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED')),
  input      json,                                                                -- what was asked for, beyond kind and subject
  cursor     json,                                                                -- where to continue; written in the transaction of each piece
  done       bigint not null default 0,
  total      bigint,                                                              -- of what `done` counts; null until known
  metrics    json not null,                                                       -- what the pieces did: rows worked on, people changed
  attempt    integer not null default 0,                                          -- how often it was leased since the last piece
  attempts   integer not null default 0,                                          -- how often it was leased at all
  error      text,                                                                -- why the last attempt failed; no personal data
  every      interval,                                                            -- a recurring job is due again so long after its end; null: done once
  lease      uuid,                                                                -- of the worker that has it: no other can commit a piece
  due_at     timestamptz not null,                                                -- may be leased from then on: at once, after a back-off, or when its lease ends
  created_at timestamptz not null,
  created_by text,                                                                -- the actor that asked for it; null where that was not kept
  started_at timestamptz,                                                         -- when it was leased first
  claimed_at timestamptz,                                                         -- when it was leased last: sandboxes take turns by it
  updated_at timestamptz not null,
  receipt    json,                                                                -- what it deleted from each store, counted; such a job is kept for good; null: nothing
  primary key (sandbox_id, job_id)
);

create index job_due_idx on gateway.job (due_at) where status in ('NEW', 'PROCESSING');   -- of all sandboxes: workers serve them all
create unique index job_open_key on gateway.job (sandbox_id, kind, subject) where status in ('NEW', 'PROCESSING');
create index job_claimed_idx on gateway.job (sandbox_id, claimed_at);
create index job_created_idx on gateway.job (sandbox_id, created_at, job_id);
create index job_naming_idx on gateway.job (sandbox_id) where status not in ('NEW', 'PROCESSING') and input::jsonb ? 'identities';   -- none, unless a job left whom it erased
