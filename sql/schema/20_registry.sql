-- Namespaces, schemas and datasets: what documents may contain; and batches, in which they come.

create table gateway.namespace (
  sandbox_id          bigint not null references gateway.sandbox on delete cascade,
  namespace_id        integer not null,                                           -- standard namespaces have the numbers of Adobe Experience Platform
  code                text not null,                                              -- case-sensitive; never changes
  name                text not null,
  description         text,
  id_type             text not null constraint namespace_id_type_known
                      check (id_type in ('CROSS_DEVICE', 'EMAIL', 'PHONE', 'DEVICE', 'COOKIE', 'PARTNER', 'NON_PEOPLE')),
  normalization       text not null constraint namespace_normalization_known check (normalization in ('EXACT', 'TRIM_LOWERCASE', 'E164')),
  is_custom           boolean not null,
  priority            integer,                                                    -- identity settings: 1 is highest; null = not listed
  is_unique_per_graph boolean not null default false,
  created_at          timestamptz not null,
  version             integer not null default 1,                                 -- of name and description; the identity settings have their own
  updated_at          timestamptz not null,
  created_by          text,
  primary key (sandbox_id, namespace_id),
  constraint namespace_code_key unique (sandbox_id, code)
);

-- When the ranks of namespaces were last changed, and by whom: one row a sandbox.
create table gateway.identity_settings (
  sandbox_id bigint primary key references gateway.sandbox on delete cascade,
  version    integer not null default 1,
  updated_at timestamptz,                                                         -- null: never
  updated_by text
);

create table gateway.xdm_schema (
  sandbox_id         bigint not null references gateway.sandbox on delete cascade,
  schema_id          uuid not null,
  title              text not null,
  class              text not null constraint xdm_schema_class_known check (class in ('INDIVIDUAL_PROFILE', 'EXPERIENCE_EVENT')),
  field_groups       text[] not null,
  custom_fields      json not null default '{}',
  identities         json not null default '[]',                                  -- descriptors: [{path, namespace, isPrimary}]
  is_profile_enabled boolean not null,
  version            integer not null default 1,
  created_at         timestamptz not null,
  updated_at         timestamptz not null,
  created_by         text,
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
  event_retention_days integer,                                                 -- how old events may be when they come, and are kept; null: any age
  version            integer not null default 1,
  updated_at         timestamptz not null,
  created_by         text,
  status             text not null default 'ACTIVE' constraint dataset_status_known check (status in ('ACTIVE', 'DELETING')),
  primary key (sandbox_id, dataset_id),
  constraint dataset_name_key unique (sandbox_id, name),
  constraint dataset_schema_fkey foreign key (sandbox_id, schema_id) references gateway.xdm_schema
);

create table gateway.batch (
  sandbox_id       bigint not null references gateway.sandbox on delete cascade,
  batch_id         uuid not null,                                                 -- derived from the key, and from how many batches it named before
  dataset_id       uuid not null,
  key              text,                                                          -- null: a rolling batch, of calls that named none
  status           text not null constraint batch_status_known
                   check (status in ('LOADING', 'ACTIVE', 'FAILED', 'ABORTING', 'ABORTED', 'REVERTING', 'REVERTED', 'DELETING', 'DELETED')),
  record_count     bigint not null default 0,                                     -- facts of it that are stored now: versions of records, or events
  failed_count     bigint not null default 0,
  created_at       timestamptz not null,
  completed_at     timestamptz,
  last_document_at timestamptz,                                                   -- when the last call brought documents; null: none did
  created_by       text,                                                          -- the actor; null: unknown
  settled_at       timestamptz,                                                   -- it can be reverted no longer: what its records replaced may go; null: it can
  primary key (sandbox_id, batch_id),
  constraint batch_dataset_fkey foreign key (sandbox_id, dataset_id) references gateway.dataset
);

create index batch_dataset_idx on gateway.batch (sandbox_id, dataset_id, created_at, batch_id);
create index batch_created_idx on gateway.batch (sandbox_id, created_at, batch_id);

-- A key names one batch, until what that brought is taken back: then it names the next one.
create unique index batch_key_key on gateway.batch (sandbox_id, dataset_id, key)
  where key is not null and status not in ('ABORTING', 'ABORTED', 'REVERTING', 'REVERTED');

-- A refused document, kept with its batch.
create table gateway.ingest_error (
  sandbox_id bigint not null,
  batch_id   uuid not null,
  ordinal    bigint not null,
  index      bigint not null,                                                     -- position in the request, from 0
  paths      text[] not null,                                                     -- of its violations, the first ones first
  codes      text[] not null constraint ingest_error_codes_known check (codes <@ array[
               'JSON', 'SIZE', 'DEPTH', 'CHARACTER', 'TYPE', 'FORMAT', 'PATTERN', 'ENUM', 'RANGE', 'LENGTH',
               'REQUIRED', 'UNKNOWN_FIELD', 'EMPTY_VALUE', 'IDENTITY_MISSING', 'IDENTITY_COUNT',
               'IDENTITY_NAMESPACE', 'IDENTITY_VALUE', 'IDENTITY_PRIMARY', 'IDENTITY_PLACEHOLDER',
               'IDENTITY_E164', 'IDENTITY_CAP', 'FUTURE_TIME', 'EXPIRED', 'EVENT_DIFFERS', 'UNSTORABLE', 'ERASED_IDENTITY']),
  messages   text[] not null,
  document   json,                                                                -- null: it is too large, or what it names cannot be read or is erased
  refused_at timestamptz not null,
  xids       uuid[] not null default '{}',                                        -- of all identities that it names; empty where one cannot be read
  primary key (sandbox_id, batch_id, ordinal),
  constraint ingest_error_batch_fkey foreign key (sandbox_id, batch_id) references gateway.batch on delete cascade
);

create index ingest_error_refused_idx on gateway.ingest_error (sandbox_id, refused_at);   -- the oldest go first
create index ingest_error_xids_idx on gateway.ingest_error using gin (xids);

-- Something that was not used as it was sent: one row per kind and dataset, with a count.
create table gateway.ingestion_warning (
  sandbox_id    bigint not null references gateway.sandbox on delete cascade,
  warning_id    uuid not null,
  code          text not null constraint ingestion_warning_code_known check (code in (
                  'JSON', 'SIZE', 'DEPTH', 'CHARACTER', 'TYPE', 'FORMAT', 'PATTERN', 'ENUM', 'RANGE', 'LENGTH',
                  'REQUIRED', 'UNKNOWN_FIELD', 'EMPTY_VALUE', 'IDENTITY_MISSING', 'IDENTITY_COUNT',
                  'IDENTITY_NAMESPACE', 'IDENTITY_VALUE', 'IDENTITY_PRIMARY', 'IDENTITY_PLACEHOLDER',
                  'IDENTITY_E164', 'IDENTITY_CAP', 'FUTURE_TIME', 'EXPIRED', 'EVENT_DIFFERS', 'UNSTORABLE', 'ERASED_IDENTITY')),
  message       text not null,
  dataset_id    uuid,
  batch_id      uuid,
  count         bigint not null,
  first_seen_at timestamptz not null,
  last_seen_at  timestamptz not null,
  sample        json,                                                              -- the first warning; null: it was kept for long enough
  xids          uuid[] not null default '{}',                                      -- of all identities that the sample's document names
  primary key (sandbox_id, warning_id)
);
