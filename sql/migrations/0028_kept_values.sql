-- Values of computed attributes that searches read are kept, and followed as windows slide.

alter table gateway.job
  drop constraint job_kind_known,
  add constraint job_kind_known check (kind in ('MATERIALIZE_POLICY', 'REGROUP_IDENTITIES', 'ABORT_BATCH', 'EXPIRE_EVENTS', 'EXPIRE_PROFILES', 'EXPIRE_ERRORS', 'EXPIRE_CHANGES', 'COMPLETE_BATCHES', 'EXPIRE_JOBS', 'DELETE_DATASET', 'DELETE_BATCH', 'REVERT_BATCH', 'EXPIRE_VERSIONS', 'DELETE_PROFILE', 'BUILD_SEARCH_INDEX', 'EXPIRE_SEARCH_INDEXES', 'BACKFILL_COMPUTED_ATTRIBUTE', 'EXPIRE_COMPUTED_PARTIALS', 'REFRESH_KEPT_VALUES'));

create table gateway.kept_attribute (
  sandbox_id     bigint not null references gateway.sandbox on delete cascade,
  identity_graph text not null constraint kept_attribute_identity_graph_known check (identity_graph in ('NONE', 'PDG')),
  attribute_id   uuid not null,
  position       json not null,
  built_to       uuid,
  built          bigint not null,
  as_of          timestamptz not null,
  used_at        timestamptz not null,
  primary key (sandbox_id, identity_graph, attribute_id)
);

create table gateway.kept_value (
  sandbox_id     bigint not null,
  identity_graph text not null constraint kept_value_identity_graph_known check (identity_graph in ('NONE', 'PDG')),
  attribute_id   uuid not null,
  profile_id     uuid not null,
  value          jsonb,
  next_change_at timestamptz,
  primary key (sandbox_id, identity_graph, attribute_id, profile_id)
);

create index kept_value_due_idx on gateway.kept_value (sandbox_id, identity_graph, attribute_id, next_change_at) where next_change_at is not null;

alter table gateway.kept_value alter column value set statistics 0;
