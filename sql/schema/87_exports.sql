-- Exports: what they have read and are yet to write, whom they hold, and the files that they wrote. The job itself is a row of job.

-- What an export takes of each person at its instant, until it is in a file. Unlogged: a crash of Postgres empties it, and the export begins anew.
create unlogged table gateway.export_person (
  sandbox_id bigint not null,
  job_id     uuid not null,
  profile_id uuid not null,
  document   text not null,                                                       -- JSON, finished: the selected fields; of an export about one person, a row of a store
  place      integer not null default 0,                                          -- among the rows about one person
  primary key (sandbox_id, job_id, profile_id, place)
);

-- Under which identities an export holds somebody; kept as long as its files.
create table gateway.export_identity (
  sandbox_id bigint not null,
  job_id     uuid not null,
  xid        uuid not null,
  profile_id uuid not null,
  events     bigint not null default 0,                                           -- stored under it at the instant, of those that the export takes
  primary key (sandbox_id, job_id, xid)                                           -- whom an export holds is looked up in one after the other: they are few
);


-- A file, noted before it is begun. Its row stays until the file is gone, also without its job.
create table gateway.export_file (
  sandbox_id   bigint not null,
  job_id       uuid not null,
  path         text collate "C" not null,                                         -- its name in the folder
  folder       text not null,                                                     -- below the directory of exports, or a URL
  is_of_events boolean not null,                                                  -- of people otherwise
  first_key    uuid,                                                              -- of people: the first profile id; of events: the first xid; null: it holds nobody
  last_key     uuid,
  rows         bigint not null default 0,
  bytes        bigint not null default 0,
  sha256       text,                                                              -- null: it is not whole yet
  is_withdrawn boolean not null default false,                                    -- nobody may read it any more; it goes with the next look
  primary key (sandbox_id, job_id, path)
);
