-- Edge projections: destinations and configurations.

create table gateway.projection_destination (
  sandbox_id         bigint not null references gateway.sandbox on delete cascade,
  destination_id     uuid not null,
  data_centers       text[] not null constraint projection_destination_data_centers_some check (cardinality(data_centers) > 0),
  ttl                integer not null constraint projection_destination_ttl_bounded check (ttl between 600 and 604800),
  replication_policy text not null constraint projection_destination_replication_policy_known check (replication_policy in ('PROACTIVE', 'REACTIVE')),
  version            integer not null default 1,
  created_at         timestamptz not null,
  updated_at         timestamptz not null,
  created_by         text,
  primary key (sandbox_id, destination_id)
);

create table gateway.projection_configuration (
  sandbox_id       bigint not null references gateway.sandbox on delete cascade,
  configuration_id uuid not null,
  name             text not null,
  destination_id   uuid not null,
  selector         text not null,
  event_selector   text,
  event_last       smallint,
  event_within     text,
  event_where      text,
  paths            text[] not null,
  revision         bigint not null,
  version          integer not null default 1,
  created_at       timestamptz not null,
  updated_at       timestamptz not null,
  created_by       text,
  primary key (sandbox_id, configuration_id),
  constraint projection_configuration_name_key unique (sandbox_id, name),
  constraint projection_configuration_events_whole check ((event_selector is null) = (event_last is null)),
  foreign key (sandbox_id, destination_id) references gateway.projection_destination
);
