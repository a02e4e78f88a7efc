-- Edge projections: which part of every person is held ready where, and the places that hold it.

-- Data centres in which edges serve what is delivered to them, and how.
create table gateway.projection_destination (
  sandbox_id         bigint not null references gateway.sandbox on delete cascade,
  destination_id     uuid not null,
  data_centers       text[] not null constraint projection_destination_data_centers_some check (cardinality(data_centers) > 0),   -- codes of those that edges of these configurations stand in
  ttl                integer not null constraint projection_destination_ttl_bounded check (ttl between 600 and 604800),   -- seconds that a copy lives where edges fetch on demand
  replication_policy text not null constraint projection_destination_replication_policy_known check (replication_policy in ('PROACTIVE', 'REACTIVE')),
  version            integer not null default 1,
  created_at         timestamptz not null,
  updated_at         timestamptz not null,
  created_by         text,                                                        -- the actor; null: unknown
  primary key (sandbox_id, destination_id)
);

-- A part of every person, under a name by which edges serve it.
create table gateway.projection_configuration (
  sandbox_id       bigint not null references gateway.sandbox on delete cascade,
  configuration_id uuid not null,
  name             text not null,
  destination_id   uuid not null,
  selector         text not null,                                                 -- of the profile
  event_selector   text,                                                          -- of each event; null: it has no events
  event_last       smallint,                                                      -- so many of the newest events
  event_within     text,                                                          -- none older than this, as ISO 8601: P30D; null: of any age
  event_where      text,                                                          -- PQL over an event; null: any
  paths            text[] not null,                                               -- dotted paths of what it selects or reads, those of events under xEvent
  content_version  bigint not null,                                               -- the configuration's version at which what it gives edges last changed
  version          integer not null default 1,
  created_at       timestamptz not null,
  updated_at       timestamptz not null,
  created_by       text,                                                          -- the actor; null: unknown
  primary key (sandbox_id, configuration_id),
  constraint projection_configuration_name_key unique (sandbox_id, name),
  constraint projection_configuration_events_whole check ((event_selector is null) = (event_last is null)),
  foreign key (sandbox_id, destination_id) references gateway.projection_destination
);
