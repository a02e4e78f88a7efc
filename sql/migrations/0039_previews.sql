-- A report of each day is kept of previews, and the key of events has their time, by which previews count without a look at their rows.

create table gateway.preview_report (
  sandbox_id       bigint not null,
  policy_id        uuid not null,
  day              date not null,
  taken_at         timestamptz not null,
  last_document_at timestamptz,
  data             json not null,
  people           json not null,
  primary key (sandbox_id, policy_id, day),
  constraint preview_report_policy_fkey foreign key (sandbox_id, policy_id) references gateway.merge_policy on delete cascade
);

alter table gateway.event
  drop constraint event_pkey,
  add primary key (sandbox_id, xid, dataset_id, event_id) include (timestamp);

alter table gateway.job drop constraint job_kind_known;
alter table gateway.job add constraint job_kind_known check (kind in ('MATERIALIZE_POLICY', 'REGROUP_IDENTITIES', 'ABORT_BATCH', 'EXPIRE_EVENTS', 'EXPIRE_PROFILES', 'EXPIRE_ERRORS', 'EXPIRE_CHANGES', 'COMPLETE_BATCHES', 'EXPIRE_JOBS', 'DELETE_DATASET', 'DELETE_BATCH', 'REVERT_BATCH', 'EXPIRE_VERSIONS', 'DELETE_PROFILE', 'BUILD_SEARCH_INDEX', 'EXPIRE_SEARCH_INDEXES', 'BACKFILL_COMPUTED_ATTRIBUTE', 'EXPIRE_COMPUTED_PARTIALS', 'REFRESH_KEPT_VALUES', 'REPORT_PREVIEWS'));
