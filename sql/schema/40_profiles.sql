-- Records, the fragments that they fold to, and the profiles that are merged from these.

create table gateway.record (
  sandbox_id  bigint not null,
  xid         uuid not null,
  dataset_id  uuid not null,
  ordinal     bigint not null,                                                    -- grows with arrival; part of the order of versions
  batch_id    uuid not null,
  mode        text not null constraint record_mode_known check (mode in ('REPLACE', 'MERGE', 'DELETE')),
  input       json not null,                                                      -- json, not jsonb: printed and never searched; leaves in canonical form
  ingested_at timestamptz not null,
  observed_at timestamptz,                                                        -- extSourceSystemAudit.lastUpdatedDate, at most ingested_at
  as_sent     json,                                                               -- leaves of `input` that were sent in another form, by JSON pointer
  first_at    timestamptz,                                                        -- first and last time of the versions that went and that it stands for; null: it stands for itself
  last_at     timestamptz,
  primary key (sandbox_id, xid, dataset_id, ordinal)
);

create index record_batch_idx on gateway.record (sandbox_id, batch_id);

create sequence gateway.arrival increment 1000;                                   -- a call takes one step, and numbers its documents within it

-- What a record says now: the fold of its versions. A deleted record keeps its row, for versions that arrive late.
create table gateway.fragment (
  sandbox_id    bigint not null,
  xid           uuid not null,
  dataset_id    uuid not null,
  ordinal       bigint not null,                                                  -- of the version that last changed the document; one sent again changes nothing
  batch_id      uuid not null,
  ingested_at   timestamptz not null,
  observed_at   timestamptz,
  folded        json,                                                             -- null: the input of that version is the document
  is_deleted    boolean not null default false,
  head_at       timestamptz not null,                                             -- with the two below: the newest version, whether it changed the document or not
  head_batch_id uuid not null,
  head_ordinal  bigint not null,
  primary key (sandbox_id, xid, dataset_id)
);

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
  created_by        text,
  primary key (sandbox_id, policy_id),
  constraint merge_policy_name_key unique (sandbox_id, name)
);

create unique index merge_policy_default_key on gateway.merge_policy (sandbox_id, class) where is_default;
create unique index merge_policy_edge_key on gateway.merge_policy (sandbox_id) where is_active_on_edge;

-- Merged documents, of the default policy and the edge's only: one for each person (under NONE: identity) with a fragment that the policy
-- uses; the others have an empty document. The identity map is not in it: the graph has that.
create table gateway.profile (
  sandbox_id  bigint not null,
  policy_id   uuid not null,
  profile_id  uuid not null,
  document    jsonb not null,                                                     -- jsonb: searched by PQL
  sources     uuid[] not null,
  modified_at timestamptz not null,                                               -- latest ingestion of the fragments in it
  primary key (sandbox_id, policy_id, profile_id)
) with (fillfactor = 75);

-- The report of a day: what a preview counted then, as gateway/domain/reading/previews.py has it. Counts alone.
create table gateway.preview_report (
  sandbox_id       bigint not null,
  policy_id        uuid not null,
  day              date not null,                                                 -- in UTC
  taken_at         timestamptz not null,
  last_document_at timestamptz,                                                   -- when the newest of the documents that were stored came in; null: there were none
  data             json not null,
  people           json not null,
  primary key (sandbox_id, policy_id, day),
  constraint preview_report_policy_fkey foreign key (sandbox_id, policy_id) references gateway.merge_policy on delete cascade
);
