-- A journal of what happened to people, in the order that each of them changed.

create table gateway.change (
  sandbox_id bigint not null,
  seq        bigint not null,
  place      integer not null,
  tx         xid8 not null default pg_current_xact_id(),
  kind       text not null constraint change_kind_known check (kind in ('CREATED', 'UPDATED', 'MERGED', 'SPLIT', 'EVENTS', 'DELETED')),
  profile_id uuid,
  xids       uuid[] not null,
  former_ids uuid[] not null,
  paths      json,
  at         timestamptz not null,
  primary key (sandbox_id, seq, place),
  constraint change_profile_id_given check ((profile_id is null) = (kind = 'EVENTS'))
);

create index change_tx_idx on gateway.change (sandbox_id, tx);

alter table gateway.sandbox add column journal_since timestamptz not null default gateway.now();
