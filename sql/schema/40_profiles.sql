-- Records, what they say now, and what is merged from them.

create table gateway.record (
  sandbox_id  bigint not null,
  xid         uuid not null,
  dataset_id  uuid not null,
  ordinal     bigint not null,                                                    -- grows with arrival; part of the order of versions
  batch_id    uuid not null,
  mode        text not null constraint record_mode_known check (mode in ('REPLACE', 'MERGE', 'DELETE')),
  input       json not null,                                                      -- json, not jsonb: printed and never searched; its leaves in their one form
  ingested_at timestamptz not null,
  observed_at timestamptz,                                                        -- extSourceSystemAudit.lastUpdatedDate, at most ingested_at
  as_sent     json,                                                               -- the leaves of `input` that were sent in another form, by JSON pointer
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
  class             text not null constraint merge_policy_class_known check (class in ('INDIVIDUAL_PROFILE', 'EXPERIENCE_EVENT')),
  identity_graph    text not null constraint merge_policy_identity_graph_known check (identity_graph in ('NONE', 'PDG')),
  merge_type        text not null constraint merge_policy_merge_type_known check (merge_type in ('TIMESTAMP_ORDERED', 'DATASET_PRECEDENCE')),
  dataset_order     uuid[] not null default '{}',
  is_default        boolean not null,
  is_active_on_edge boolean not null,
  version           integer not null default 1,
  status            text not null constraint merge_policy_status_known check (status in ('BUILDING', 'ACTIVE')),
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
