-- Profiles and events are exported to files.

-- Exports: what they have read and are yet to write, whom they hold, and the files that they wrote. The job itself is a row of job.

-- What an export takes of each person at its instant, until it is in a file. Unlogged: a crash of Postgres empties it, and the export begins anew.
create unlogged table gateway.export_person (
  sandbox_id bigint not null,
  job_id     uuid not null,
  profile_id uuid not null,
  document   text not null,                                                       -- JSON, finished: the selected fields
  primary key (sandbox_id, job_id, profile_id)
);

-- Under which identities an export holds somebody; kept as long as its files.
create table gateway.export_identity (
  sandbox_id bigint not null,
  job_id     uuid not null,
  xid        uuid not null,
  profile_id uuid not null,
  primary key (sandbox_id, job_id, xid)
);

create index export_identity_xid_idx on gateway.export_identity (sandbox_id, xid);

-- A file that is whole. Its row stays until the file is gone, also without its job.
create table gateway.export_file (
  sandbox_id   bigint not null,
  job_id       uuid not null,
  path         text collate "C" not null,                                         -- its name in the folder
  folder       text not null,                                                     -- below the directory of exports, or a URL
  is_of_events boolean not null,                                                  -- of people otherwise
  first_key    uuid,                                                              -- of people: the first profile id; of events: the first xid; null: it holds nobody
  last_key     uuid,
  rows         bigint not null,
  bytes        bigint not null,
  sha256       text not null,
  is_withdrawn boolean not null default false,                                    -- nobody may read it any more; it goes with the next look
  primary key (sandbox_id, job_id, path)
);

alter table gateway.job
  drop constraint job_kind_known,
  add constraint job_kind_known check (kind in ('MATERIALIZE_POLICY', 'REGROUP_IDENTITIES', 'ABORT_BATCH', 'EXPIRE_EVENTS', 'EXPIRE_PROFILES', 'EXPIRE_ERRORS', 'EXPIRE_CHANGES', 'COMPLETE_BATCHES', 'EXPIRE_JOBS', 'DELETE_DATASET', 'DELETE_BATCH', 'REVERT_BATCH', 'EXPIRE_VERSIONS', 'DELETE_PROFILE', 'BUILD_SEARCH_INDEX', 'EXPIRE_SEARCH_INDEXES', 'BACKFILL_COMPUTED_ATTRIBUTE', 'EXPIRE_COMPUTED_PARTIALS', 'REFRESH_KEPT_VALUES', 'REPORT_PREVIEWS', 'EXPORT_PROFILES', 'EXPIRE_EXPORTS'));

alter table gateway.export_person alter column document set statistics 0;   -- as in 0021
