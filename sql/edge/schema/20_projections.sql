-- What is served of people. No foreign key to the sandbox: millions of rows go with it in pieces.

create table edge.projection (
  sandbox_id       bigint not null,
  person           uuid not null,
  configuration_id uuid not null,
  edition          bigint not null,                                               -- those of a later edition are filled beside the ones that are served
  etag             text not null,                                                 -- of profile and events
  projected_at     timestamptz not null,                                          -- when the hub first found them like this
  delivered_at     timestamptz not null,                                          -- by this database's clock
  due              timestamptz,                                                   -- when the hub has to read them again, though nothing changes
  profile          text not null,                                                 -- JSON
  events           text[] not null,                                               -- JSON of each, newest first
  event_times      timestamptz[] not null,
  primary key (sandbox_id, person, configuration_id, edition)
) with (fillfactor = 90, toast_tuple_target = 4080);

create index projection_due_idx on edge.projection (sandbox_id, due) where due is not null;

-- Whose an identity is in one edition of a configuration: while the next one is filled, people may merge and split.
create table edge.identity (
  sandbox_id       bigint not null,
  identity         uuid not null,
  configuration_id uuid not null,
  edition          bigint not null,
  person           uuid,
  absent_until     timestamptz,                                                   -- nobody has it, as far as is known, up to then; infinity: erased
  primary key (sandbox_id, identity, configuration_id, edition),
  constraint identity_is_somebodys_or_absent check ((person is null) = (absent_until is not null))
) with (fillfactor = 90);

create index identity_person_idx on edge.identity (sandbox_id, person) where person is not null;
create index identity_absent_idx on edge.identity (absent_until) where absent_until < 'infinity';

-- What was asked for and is not here. The hub needs the value itself: it does not know the identity by the edge's key.
create table edge.wanted (
  sandbox_id       bigint not null,
  configuration_id uuid not null,
  identity         uuid not null,
  namespace_id     integer not null,
  value            text not null,                                                 -- normalized
  asked_at         timestamptz not null,
  primary key (sandbox_id, configuration_id, identity)
);

create index wanted_asked_idx on edge.wanted (asked_at);
