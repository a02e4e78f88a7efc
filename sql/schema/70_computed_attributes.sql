-- Computed attributes: values of a person that are computed from events, or from the profile and other attributes, as they are read.

create table gateway.computed_attribute (
  sandbox_id     bigint not null references gateway.sandbox on delete cascade,
  attribute_id   uuid not null,
  name           text not null constraint computed_attribute_name_plain check (name ~ '^[A-Za-z][A-Za-z0-9]*$'),
  display_name   text not null,
  description    text,
  class          text not null constraint computed_attribute_class_known check (class in ('INDIVIDUAL_PROFILE', 'EXPERIENCE_EVENT')),
  expression     text not null,                                                   -- PQL
  lookback       text,                                                            -- how old its events may be, as ISO 8601: P30D; null: any age
  keep_current   boolean not null,                                                -- as it was given; means nothing
  merge_function text constraint computed_attribute_merge_function_known            -- what it makes of events; null: it is over the profile
                 check (merge_function in ('SUM', 'COUNT', 'MIN', 'MAX', 'AVERAGE', 'MOST_RECENT', 'LIST', 'DISTINCT', 'MOST_FREQUENT', 'GROUPBY')),
  return_type    text not null,
  dependencies   text[] not null,                                                 -- dotted paths that the expression reads
  status         text not null constraint computed_attribute_status_known check (status in ('DRAFT', 'NEW', 'INITIALIZING', 'PROCESSING', 'PROCESSED', 'FAILED', 'DISABLED')),
  slot           smallint,                                                        -- where its partials stand; null: it has none
  job_id         uuid,                                                            -- of the job that reads the events of the past for them, last
  backfilled_at  timestamptz,                                                     -- when it had read them
  version        integer not null default 1,
  created_at     timestamptz not null,
  updated_at     timestamptz not null,
  created_by     text,                                                            -- the actor; null: unknown
  primary key (sandbox_id, attribute_id),
  constraint computed_attribute_name_key unique (sandbox_id, name),
  constraint computed_attribute_slot_key unique (sandbox_id, slot)
);

-- What attributes make of the events of one identity in one bucket of time: those with buckets of this size, each at its slot of the arrays.
-- A person's value is folded of the rows of its identities; a row that a window cuts is read from the events instead.
create table gateway.computed_partial (
  sandbox_id     bigint not null,
  xid            uuid not null,
  bucket_seconds integer not null,                                                -- how long it is; 0: it has no bounds
  bucket         timestamptz not null,                                            -- when it begins; the epoch, if it has no bounds
  first_at       timestamptz not null,                                            -- of the oldest event in it that some attribute counts
  last_at        timestamptz not null,                                            -- of the newest one
  numbers        numeric[] not null,                                              -- three of each slot: events; values; their sum, least or largest
  items          jsonb[] not null,                                                -- of each slot that needs more: its newest events, or what those with each key come to
  primary key (sandbox_id, xid, bucket_seconds, bucket)
) with (fillfactor = 80);

-- The attributes whose values are kept because searches read them, for people by the identity graph, or for identities alone.
create table gateway.kept_attribute (
  sandbox_id     bigint not null references gateway.sandbox on delete cascade,
  identity_graph text not null constraint kept_attribute_identity_graph_known check (identity_graph in ('NONE', 'PDG')),
  attribute_id   uuid not null,
  position       json not null,                                                   -- of the journal: values are those of the facts there, or of later ones
  built_to       uuid,                                                            -- the last person whose value was computed first; null: everybody's was
  built          bigint not null,                                                 -- how many people that were
  as_of          timestamptz not null,                                            -- no instant at which a value was computed is later
  used_at        timestamptz not null,                                            -- when a search last read it, to the day
  primary key (sandbox_id, identity_graph, attribute_id)
);

-- What a kept attribute gives for a person: derived from events, and anew when its window slides.
create table gateway.kept_value (
  sandbox_id     bigint not null,
  identity_graph text not null constraint kept_value_identity_graph_known check (identity_graph in ('NONE', 'PDG')),
  attribute_id   uuid not null,
  profile_id     uuid not null,                                                   -- under NONE: an identity
  value          jsonb,                                                           -- null: missing
  next_change_at timestamptz,                                                     -- when a window next leaves an event behind, or one in the future comes into it; null: never
  primary key (sandbox_id, identity_graph, attribute_id, profile_id)
);

create index kept_value_due_idx on gateway.kept_value (sandbox_id, identity_graph, attribute_id, next_change_at) where next_change_at is not null;
