-- The journal: what happened to people, for those who follow them. A row means: read this person again.

-- A row for each person that a call changed; and one for the identities under which it added or removed events, a hundred in each, as
-- events lock nobody: a profile id that is read without a lock may be old by the commit. Likewise one for the identities that nobody has any
-- more, of people who are still there: to a policy without a graph each was a person.
create table gateway.change (
  sandbox_id bigint not null,
  seq        bigint not null,                                                     -- the call's number, drawn with all locks held: grows for each person, for ever
  place      integer not null,                                                    -- among the rows of the call
  tx         xid8 not null default pg_current_xact_id(),                          -- a reader's cursor is a snapshot of transactions, so that none that ends late is missed
  kind       text not null constraint change_kind_known check (kind in ('CREATED', 'UPDATED', 'MERGED', 'SPLIT', 'EVENTS', 'DELETED')),
  profile_id uuid,                                                                -- null: EVENTS, or DELETED identities of people who are still there
  xids       uuid[] not null,                                                     -- members after the change, before it if DELETED; of EVENTS: any identities
  former_ids uuid[] not null,                                                     -- people that were merged into this one, or that it was split from
  paths      json,                                                                -- changed paths of the default policy's document: [["person", "name"]]; null: not known
  at         timestamptz not null,
  primary key (sandbox_id, seq, place),
  constraint change_profile_id_given check (profile_id is not null and kind <> 'EVENTS' or profile_id is null and kind in ('EVENTS', 'DELETED'))
);

create index change_tx_idx on gateway.change (sandbox_id, tx);
-- What it says of an identity that is erased. The call that fills the list of what is yet to be indexed empties it: 4 MB, the default, would
-- take it a third of a second.
create index change_xids_idx on gateway.change using gin ((xids || former_ids)) with (gin_pending_list_limit = 256);
