-- Types of events stand in the index of people's events, by which they are counted; documents of up to half a page stay uncompressed.

-- An entry of an index has room for 128 characters of a type. The document keeps a longer one whole.
update gateway.event set event_type = left(event_type, 128) where length(event_type) > 128;

alter table gateway.event set (toast_tuple_target = 4080);                        -- of documents written from now on
drop index gateway.event_timeline_idx;
create index event_timeline_idx on gateway.event (sandbox_id, xid, timestamp, event_id) include (event_type);
alter table gateway.event
  drop constraint event_pkey,
  add primary key (sandbox_id, xid, dataset_id, event_id);                        -- made last, as it was
