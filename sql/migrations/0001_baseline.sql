-- The schema of the first release.
--
-- A database whose table gateway.migration is empty was made by these statements, before migrations were counted, and starts from here.

-- The database of the profile gateway.
--
-- Facts are kept; profiles are views. Facts are appended and leave only when a batch is reverted or a delete job runs:
--
--   record     every version of a record, with its input and its mode       key (sandbox, xid, dataset, ordinal)
--   event      one thing that happened, deduplicated by the sender's _id    key (sandbox, xid, dataset, event_id)
--   event_repeat  which other batches sent it again
--   tie        which identities one row named together                      one row per member
--   cannot     pairs that a person unlinked
--
-- Views are pure functions of the live facts and the configuration; `gateway verify` rebuilds them and compares:
--
--   identity   xid -> namespace, value, and the person it belongs to
--   graph      the person: its xids, its lock, its existence
--   fragment   what one record says now: its live version, or the fold of several
--   profile    the merged document, for the policies that are materialized
--
-- Configuration: organization, sandbox, api_key, namespace, xdm_schema, dataset, batch, merge_policy, ingest_error, ingestion_warning.
-- Work: job, enqueued in the transaction that makes it necessary.
--
-- An xid is a keyed hash of (sandbox, namespace, value) made in Python. Facts are stored under the xid of their own primary
-- identity and never move; a merge of people touches pointers only. Every key starts with sandbox_id. The tables of documents are
-- hash-partitioned from the first day: a table has one TOAST oid space, and running out of it is hard to mend later.

create schema gateway;

-- Time is an input: tests set gateway.now, everybody else reads the clock.
create function gateway.now() returns timestamptz
  language sql volatile parallel safe
  return coalesce(nullif(current_setting('gateway.now', true), '')::timestamptz, clock_timestamp());

-- Which files of sql/migrations/ this database has seen; a new one starts with all of them.
create table gateway.migration (
  name       text primary key,
  applied_at timestamptz not null default now()
);
-- Who may do what, and where. Nothing crosses a sandbox.

create table gateway.organization (
  organization_id uuid primary key,
  code            text not null constraint organization_code_key unique           -- custom fields live under _{code}
                  constraint organization_code_shape check (code ~ '^[a-z][a-z0-9]{0,31}$'),
  name            text not null,
  created_at      timestamptz not null
);

create table gateway.sandbox (
  sandbox_id      bigint generated always as identity primary key,                -- short, since it starts every key
  organization_id uuid not null references gateway.organization on delete cascade,
  name            text not null constraint sandbox_name_shape check (name ~ '^[a-z][a-z0-9-]{0,63}$'),
  title           text,
  type            text not null constraint sandbox_type_known check (type in ('PRODUCTION', 'DEVELOPMENT')),
  is_default      boolean not null,
  secret          bytea not null constraint sandbox_secret_size check (length(secret) = 32),   -- key of the xid hash; never leaves the server
  config_version  bigint not null default 1,                                      -- grows with every change of configuration; caches compare it
  created_at      timestamptz not null,
  constraint sandbox_name_key unique (organization_id, name)
);

create unique index sandbox_default_key on gateway.sandbox (organization_id) where is_default;

create table gateway.api_key (
  key_hash        bytea primary key,                                              -- SHA-256 of the key; the key itself is shown once
  organization_id uuid not null references gateway.organization on delete cascade,
  name            text not null,
  created_at      timestamptz not null,
  revoked_at      timestamptz
);
-- What documents may look like, and where they come from.

create table gateway.namespace (
  sandbox_id          bigint not null references gateway.sandbox on delete cascade,
  namespace_id        integer not null,                                           -- standard ones keep the model's numbers
  code                text not null,                                              -- exact, case included; never changes
  name                text not null,
  description         text,
  id_type             text not null,
  normalization       text not null,
  is_custom           boolean not null,
  priority            integer,                                                    -- identity settings: 1 is highest; null = not listed
  is_unique_per_graph boolean not null default false,
  created_at          timestamptz not null,
  primary key (sandbox_id, namespace_id),
  constraint namespace_code_key unique (sandbox_id, code)
);

create table gateway.xdm_schema (
  sandbox_id         bigint not null references gateway.sandbox on delete cascade,
  schema_id          uuid not null,
  title              text not null,
  class              text not null,
  field_groups       text[] not null,
  custom_fields      json not null default '{}',
  identities         json not null default '[]',                                  -- descriptors: [{path, namespace, isPrimary}]
  is_profile_enabled boolean not null,
  version            integer not null default 1,
  created_at         timestamptz not null,
  primary key (sandbox_id, schema_id),
  constraint xdm_schema_title_key unique (sandbox_id, title)
);

create table gateway.dataset (
  sandbox_id         bigint not null references gateway.sandbox on delete cascade,
  dataset_id         uuid not null,
  schema_id          uuid not null,
  name               text not null,
  description        text,
  is_profile_enabled boolean not null,
  created_at         timestamptz not null,
  primary key (sandbox_id, dataset_id),
  constraint dataset_name_key unique (sandbox_id, name),
  constraint dataset_schema_fkey foreign key (sandbox_id, schema_id) references gateway.xdm_schema
);

create table gateway.batch (
  sandbox_id   bigint not null references gateway.sandbox on delete cascade,
  batch_id     uuid not null,                                                     -- derived from the client's key, so that the key gives the same batch
  dataset_id   uuid not null,
  key          text,                                                              -- null: a rolling batch of calls that named none
  status       text not null,
  record_count bigint not null default 0,                                         -- accepted documents, duplicates and failures apart
  failed_count bigint not null default 0,
  created_at   timestamptz not null,
  completed_at timestamptz,
  primary key (sandbox_id, batch_id),
  constraint batch_dataset_fkey foreign key (sandbox_id, dataset_id) references gateway.dataset
);

create index batch_dataset_idx on gateway.batch (sandbox_id, dataset_id, created_at, batch_id);

-- A failed document stays with its batch until retention takes it.
create table gateway.ingest_error (
  sandbox_id bigint not null,
  batch_id   uuid not null,
  ordinal    bigint not null,
  index      bigint not null,                                                     -- position in what the client sent, from 0
  path       text,
  code       text not null,
  message    text not null,
  document   json,
  primary key (sandbox_id, batch_id, ordinal),
  constraint ingest_error_batch_fkey foreign key (sandbox_id, batch_id) references gateway.batch on delete cascade
);

-- Something came in and was not used as sent; one row per kind and dataset, counted.
create table gateway.ingestion_warning (
  sandbox_id    bigint not null references gateway.sandbox on delete cascade,
  warning_id    uuid not null,
  code          text not null,
  message       text not null,
  dataset_id    uuid,
  batch_id      uuid,
  count         bigint not null,
  first_seen_at timestamptz not null,
  last_seen_at  timestamptz not null,
  sample        json,
  primary key (sandbox_id, warning_id)
);
-- Which identities belong to one person.

-- A pointer. Its row says that some live fact names the identity; profile_id is null while no person has it, and value is null once erased.
create table gateway.identity (
  sandbox_id   bigint not null,
  xid          uuid not null,
  namespace_id integer not null,
  value        text,
  profile_id   uuid,                                                              -- no index: a person's members are in graph.xids
  rung         smallint not null default 100,                                     -- with how many neighbours it may still join others: fewer in a crowd, 0 or -1 not at all
  erased_at    timestamptz,
  primary key (sandbox_id, xid)
);

-- The person: member list, lock and existence. It exists while a member has a fragment or an event.
create table gateway.graph (
  sandbox_id   bigint not null,
  profile_id   uuid not null,
  xids         uuid[] not null,                                                   -- canonical order: class of namespace, then xid
  identity_map json not null,                                                     -- rendered, so that a read need not fetch identities
  is_contested boolean not null default false,                                    -- a refused link or the cap touches it: changes resolve in full
  size         integer not null,                                                  -- true size, also past the cap
  primary key (sandbox_id, profile_id)
);

-- What one row said, one row per member. A batch's ties leave with the batch.
create table gateway.tie (
  sandbox_id   bigint not null,
  xid          uuid not null,
  tie_id       uuid not null,
  batch_id     uuid not null,                                                     -- the nil uuid: tied by hand
  dataset_id   uuid,
  origin       uuid not null,                                                     -- xid of the row's primary identity
  ingested_at  timestamptz not null,                                              -- with batch_id and ordinal: where the newest row that says so stands
  ordinal      bigint not null,
  xids         uuid[] not null,
  first_at     timestamptz not null,
  last_at      timestamptz not null,
  is_retracted boolean not null default false,                                    -- a later DELETE of the record took it back; lives again when that is reverted
  primary key (sandbox_id, xid, tie_id, batch_id)
);

create index tie_batch_idx on gateway.tie (sandbox_id, batch_id);

create table gateway.cannot (
  sandbox_id bigint not null,
  xid        uuid not null,                                                       -- one row per side
  other_xid  uuid not null,
  created_at timestamptz not null,
  primary key (sandbox_id, xid, other_xid)
);
-- Records, what they say now, and what is merged from them.

create table gateway.record (
  sandbox_id  bigint not null,
  xid         uuid not null,
  dataset_id  uuid not null,
  ordinal     bigint not null,                                                    -- grows with arrival; part of the order of versions
  batch_id    uuid not null,
  mode        text not null constraint record_mode_known check (mode in ('REPLACE', 'MERGE', 'DELETE')),
  input       json not null,                                                      -- json, not jsonb: as sent, printed and never searched
  ingested_at timestamptz not null,
  observed_at timestamptz,                                                        -- extSourceSystemAudit.lastUpdatedDate
  primary key (sandbox_id, xid, dataset_id, ordinal)
) partition by hash (xid);

create index record_batch_idx on gateway.record (sandbox_id, batch_id);

create sequence gateway.arrival increment 1000;                                   -- a call takes one step and numbers its documents inside it

-- What a record says now: the fold of its versions. A deleted record keeps its row, so that a late version knows what came after it.
create table gateway.fragment (
  sandbox_id    bigint not null,
  xid           uuid not null,
  dataset_id    uuid not null,
  ordinal       bigint not null,                                                  -- the version that last changed the document; a re-sent one changes nothing
  batch_id      uuid not null,
  ingested_at   timestamptz not null,
  observed_at   timestamptz,
  folded        json,                                                             -- null: the version's own input is the document
  is_deleted    boolean not null default false,
  head_at       timestamptz not null,                                             -- order of the newest version, whether it changed anything or not
  head_batch_id uuid not null,
  head_ordinal  bigint not null,
  primary key (sandbox_id, xid, dataset_id)
) partition by hash (xid);

create table gateway.merge_policy (
  sandbox_id        bigint not null references gateway.sandbox on delete cascade,
  policy_id         uuid not null,
  name              text not null,
  class             text not null,
  identity_graph    text not null,
  merge_type        text not null,
  dataset_order     uuid[] not null default '{}',
  is_default        boolean not null,
  is_active_on_edge boolean not null,
  version           integer not null default 1,
  status            text not null,
  created_at        timestamptz not null,
  updated_at        timestamptz not null,
  primary key (sandbox_id, policy_id),
  constraint merge_policy_name_key unique (sandbox_id, name)
);

create unique index merge_policy_default_key on gateway.merge_policy (sandbox_id, class) where is_default;
create unique index merge_policy_edge_key on gateway.merge_policy (sandbox_id) where is_active_on_edge;

-- Only of the default policy and the edge's, and only for people (under NONE: identities) with a fragment that takes part:
-- of others the document is empty. The identity map is not in it: the graph has that.
create table gateway.profile (
  sandbox_id  bigint not null,
  policy_id   uuid not null,
  profile_id  uuid not null,
  document    jsonb not null,                                                     -- jsonb: searched by PQL
  sources     uuid[] not null,
  modified_at timestamptz not null,                                               -- newest ingestion among the fragments that take part
  primary key (sandbox_id, policy_id, profile_id)
) partition by hash (profile_id);
-- What people did.

create table gateway.event (
  sandbox_id  bigint not null,
  xid         uuid not null,
  dataset_id  uuid not null,
  event_id    text collate "C" not null,                                          -- the sender's _id; the first body stays. "C": as Python sorts
  batch_id    uuid not null,
  timestamp   timestamptz not null,
  event_type  text,
  document    jsonb not null,
  ingested_at timestamptz not null,
  primary key (sandbox_id, xid, dataset_id, event_id)
) partition by hash (xid);

create index event_timeline_idx on gateway.event (sandbox_id, xid, timestamp, event_id);
create index event_batch_idx on gateway.event (sandbox_id, batch_id);

-- A batch that sent a known event again. The event leaves with the last of its batches.
create table gateway.event_repeat (
  sandbox_id  bigint not null,
  xid         uuid not null,
  dataset_id  uuid not null,
  event_id    text collate "C" not null,
  batch_id    uuid not null,
  ingested_at timestamptz not null,
  primary key (sandbox_id, xid, dataset_id, event_id, batch_id)
);

create index event_repeat_batch_idx on gateway.event_repeat (sandbox_id, batch_id);
-- Long work: taken by one worker at a time, committed piece by piece, gone on with where a crash left it.

create table gateway.job (
  sandbox_id bigint not null references gateway.sandbox on delete cascade,
  job_id     uuid not null,
  kind       text not null,
  subject    uuid not null,                                                       -- what it works on: a policy, a batch; nil: the sandbox
  status     text not null constraint job_status_known check (status in ('NEW', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED')),
  cursor     json,                                                                -- where to go on: written in the transaction of the piece that got there
  done       bigint not null default 0,
  total      bigint,                                                              -- of what `done` counts; null until it is known
  attempt    integer not null default 0,                                          -- how often it was taken since the last piece
  error      text,                                                                -- why the last attempt broke off; nothing personal
  lease      uuid,                                                                -- whose it is: nobody else can commit a piece
  due_at     timestamptz not null,                                                -- free to be taken from then on: at once, after a back-off, or when the heart has stopped
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (sandbox_id, job_id)
);

create index job_due_idx on gateway.job (due_at) where status in ('NEW', 'PROCESSING');   -- of all sandboxes: workers serve them all
create index job_open_idx on gateway.job (sandbox_id, kind, subject) where status in ('NEW', 'PROCESSING');
-- Four hash partitions of each table of documents. That is enough for a free TOAST oid to be near in any of them, however long the runs
-- are that bulk loads leave: three of four oids are another partition's. Each partition costs every statement 1 to 2 µs, and tables
-- without documents have none.

do $$
declare
  parent text;
  part   integer;
begin
  foreach parent in array array['record', 'fragment', 'profile', 'event'] loop
    for part in 0..3 loop
      execute format('create table gateway.%I partition of gateway.%I for values with (modulus 4, remainder %s)', parent || '_' || part, parent, part);
    end loop;
  end loop;
end $$;
