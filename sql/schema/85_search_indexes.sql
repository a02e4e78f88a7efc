-- Indexes that somebody's searches asked for. Each is a partial index of Postgres on gateway.profile or gateway.event, for one sandbox, named
-- search_{sandbox}_{index}; one without a row here is dropped.

create table gateway.search_index (
  sandbox_id bigint not null references gateway.sandbox on delete cascade,
  index_id   uuid not null,
  policy_id  uuid,                                                                -- of whose profiles; null: of events
  path       text not null,                                                       -- dotted, that of events under xEvent
  type       text not null constraint search_index_type_known check (type in ('string', 'long', 'double', 'date', 'date-time')),
  is_ready   boolean not null default false,                                      -- a job has made it
  created_at timestamptz not null,
  created_by text,
  used_at    timestamptz not null,                                                -- when it was last used, to the day; made, if never
  primary key (sandbox_id, index_id),
  constraint search_index_path_key unique nulls not distinct (sandbox_id, policy_id, path),
  foreign key (sandbox_id, policy_id) references gateway.merge_policy on delete cascade
);
