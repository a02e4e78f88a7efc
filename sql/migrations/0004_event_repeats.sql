-- Events that were sent again keep what they said and under which identity, so that they can take the place of the known one.

alter table gateway.event_repeat
  add column ordinal   bigint not null default 0,
  add column origin    uuid,
  add column named     uuid[],
  add column timestamp timestamptz,
  add column document  jsonb;

update gateway.event_repeat as r
   set origin = r.xid, named = array[r.xid],
       timestamp = coalesce((select e.timestamp
                               from gateway.event as e
                              where e.sandbox_id = r.sandbox_id and e.xid = r.xid and e.dataset_id = r.dataset_id and e.event_id = r.event_id),
                            r.ingested_at);

alter table gateway.event_repeat
  alter column ordinal drop default,
  alter column origin set not null,
  alter column named set not null,
  alter column timestamp set not null,
  drop constraint event_repeat_pkey,
  add primary key (sandbox_id, xid, dataset_id, event_id, batch_id, origin);
