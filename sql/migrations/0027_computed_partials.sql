-- What computed attributes count of events is kept by identity and time, so that a value is folded of few rows.

alter table gateway.job
  drop constraint job_kind_known,
  add constraint job_kind_known check (kind in ('MATERIALIZE_POLICY', 'REGROUP_IDENTITIES', 'ABORT_BATCH', 'EXPIRE_EVENTS', 'EXPIRE_PROFILES', 'EXPIRE_ERRORS', 'EXPIRE_CHANGES', 'COMPLETE_BATCHES', 'EXPIRE_JOBS', 'DELETE_DATASET', 'DELETE_BATCH', 'REVERT_BATCH', 'EXPIRE_VERSIONS', 'DELETE_PROFILE', 'BUILD_SEARCH_INDEX', 'EXPIRE_SEARCH_INDEXES', 'BACKFILL_COMPUTED_ATTRIBUTE', 'EXPIRE_COMPUTED_PARTIALS'));

alter table gateway.computed_attribute
  drop constraint computed_attribute_status_known,
  add constraint computed_attribute_status_known
      check (status in ('DRAFT', 'NEW', 'INITIALIZING', 'PROCESSING', 'PROCESSED', 'FAILED', 'DISABLED')),
  add column slot smallint,
  add column job_id uuid,
  add column backfilled_at timestamptz,
  add constraint computed_attribute_slot_key unique (sandbox_id, slot);

create table gateway.computed_partial (
  sandbox_id     bigint not null,
  xid            uuid not null,
  bucket_seconds integer not null,                                                -- how long it is; 0: it has no bounds
  bucket         timestamptz not null,                                            -- when it begins; the epoch, if it has no bounds
  first_at       timestamptz not null,                                            -- of the oldest event in it that some attribute counts
  last_at        timestamptz not null,                                            -- of the newest one
  numbers        numeric[] not null,                                              -- three of each slot: events; values; their sum, least or largest
  newest         jsonb[] not null,                                                -- of each slot with a value of the newest event: its time, its key, the value
  primary key (sandbox_id, xid, bucket_seconds, bucket)
) with (fillfactor = 80);

alter table gateway.computed_partial
  alter column numbers set statistics 0,
  alter column newest set statistics 0;
