-- Indexes for searches: those that searches asked for are listed, and made by jobs.

alter table gateway.job
  drop constraint job_kind_known,
  add constraint job_kind_known check (kind in ('MATERIALIZE_POLICY', 'REGROUP_IDENTITIES', 'ABORT_BATCH', 'EXPIRE_EVENTS', 'EXPIRE_PROFILES', 'EXPIRE_ERRORS', 'EXPIRE_CHANGES', 'COMPLETE_BATCHES', 'EXPIRE_JOBS', 'DELETE_DATASET', 'DELETE_BATCH', 'REVERT_BATCH', 'EXPIRE_VERSIONS', 'DELETE_PROFILE', 'BUILD_SEARCH_INDEX', 'EXPIRE_SEARCH_INDEXES'));

create table gateway.search_index (
  sandbox_id bigint not null references gateway.sandbox on delete cascade,
  index_id   uuid not null,
  policy_id  uuid,
  path       text not null,
  type       text not null constraint search_index_type_known check (type in ('string', 'long', 'double', 'date', 'date-time')),
  is_ready   boolean not null default false,
  created_at timestamptz not null,
  created_by text,
  used_at    timestamptz not null,
  primary key (sandbox_id, index_id),
  constraint search_index_path_key unique nulls not distinct (sandbox_id, policy_id, path),
  foreign key (sandbox_id, policy_id) references gateway.merge_policy on delete cascade
);
