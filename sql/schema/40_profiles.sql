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

create table gateway.fragment (
  sandbox_id  bigint not null,
  xid         uuid not null,
  dataset_id  uuid not null,
  ordinal     bigint not null,                                                    -- the newest live version
  batch_id    uuid not null,
  ingested_at timestamptz not null,
  observed_at timestamptz,
  folded      json,                                                               -- null: the version's own input is the document
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

create table gateway.profile (
  sandbox_id  bigint not null,
  policy_id   uuid not null,
  profile_id  uuid not null,
  document    jsonb not null,                                                     -- jsonb: searched by PQL
  sources     uuid[] not null,
  version     bigint not null,
  modified_at timestamptz,                                                        -- null: a person with events only
  primary key (sandbox_id, policy_id, profile_id)
) partition by hash (profile_id);

create table gateway.change (
  tx         xid8 not null default pg_current_xact_id(),                          -- read below the oldest running transaction: a bare sequence loses rows
  seq        bigint generated always as identity,
  sandbox_id bigint not null,
  profile_id uuid not null,
  version    bigint not null,
  kind       text not null,
  paths      json not null,
  at         timestamptz not null,
  primary key (sandbox_id, tx, seq)
);
