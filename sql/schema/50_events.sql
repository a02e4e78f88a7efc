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

-- A batch that sent a known event again, under whichever of its identities. When the batch of the known one goes, the first of these takes
-- its place; the event leaves with the last of its batches.
create table gateway.event_resend (
  sandbox_id  bigint not null,
  xid         uuid not null,                                                      -- with dataset_id and event_id: the key of the known event
  dataset_id  uuid not null,
  event_id    text collate "C" not null,
  batch_id    uuid not null,
  ingested_at timestamptz not null,
  ordinal     bigint not null,                                                    -- of the document within what came at that time
  origin      uuid not null,                                                      -- xid of its own primary identity, under which it would be stored itself
  named_xids  uuid[] not null,                                                    -- all identities that it names
  timestamp   timestamptz not null,
  document    jsonb,                                                              -- null: it says what the known one says
  primary key (sandbox_id, xid, dataset_id, event_id, batch_id, origin)
);

create index event_resend_batch_idx on gateway.event_resend (sandbox_id, batch_id);
