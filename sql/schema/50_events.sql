-- Events, and the batches that sent them again.

create table gateway.event (
  sandbox_id  bigint not null,
  xid         uuid not null,
  dataset_id  uuid not null,
  event_id    text collate "C" not null,                                          -- the sender's _id; the first body stays. "C": sorted as Python sorts
  batch_id    uuid not null,
  timestamp   timestamptz not null,
  event_type  text,                                                               -- of one from before the limit: its first 128 characters
  document    jsonb not null,
  ingested_at timestamptz not null,
  is_redacted boolean not null default false                                      -- it said something of erased people: any other body is a repetition of it
);

alter table gateway.event set (toast_tuple_target = 4080);                        -- up to half a page, a document is not compressed: see docs/internals.md
create index event_timeline_idx on gateway.event (sandbox_id, xid, timestamp, event_id) include (event_type);
create index event_batch_idx on gateway.event (sandbox_id, batch_id);
alter table gateway.event add primary key (sandbox_id, xid, dataset_id, event_id) include (timestamp);  -- made last: where no statistics tell, Postgres takes the newest index; with the time, previews count events without a look at their rows

-- A batch that sent a stored event again, under any of its identities. When the batch of the stored event is removed, the first of these
-- takes its place. The event is removed with the last of its batches.
create table gateway.event_resend (
  sandbox_id  bigint not null,
  xid         uuid not null,                                                      -- with dataset_id and event_id: key of the stored event
  dataset_id  uuid not null,
  event_id    text collate "C" not null,
  batch_id    uuid not null,
  ingested_at timestamptz not null,
  ordinal     bigint not null,                                                    -- of the document among those ingested at that time
  origin      uuid not null,                                                      -- xid of its own primary identity, under which it would be stored
  named_xids  uuid[] not null,                                                    -- xids of all identities that it names
  timestamp   timestamptz not null,
  document    jsonb,                                                              -- null: equal to the stored one
  is_redacted boolean not null default false,                                     -- of its own document, once that is told
  primary key (sandbox_id, xid, dataset_id, event_id, batch_id, origin)
);

create index event_resend_batch_idx on gateway.event_resend (sandbox_id, batch_id);
