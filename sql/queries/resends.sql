-- Resends: events that clients send again.

-- name: lock_events(sandbox_id, keys, are_exclusive) -> rows
-- Locks these keys until the transaction ends, exclusively or shared. Keys come in order, so that two writers cannot wait for each other.
select case when is_exclusive then pg_advisory_xact_lock(hashint8extended($1::bigint, key))
            else pg_advisory_xact_lock_shared(hashint8extended($1::bigint, key)) end
  from unnest($2::bigint[], $3::boolean[]) as asked (key, is_exclusive);

-- name: find_events(sandbox_id, dataset_id, xids, event_ids) -> rows
-- The events with these keys that are stored; `{held}` is the part of this name, or nothing. Walks event_pkey once for each key: order and `limit`
-- allow no other plan, whatever the statistics say.
select known.*
  from unnest($3::uuid[], $4::text[]) as sent (xid, event_id)
 cross join lateral (
       select e.xid, e.event_id, e.batch_id, e.ingested_at, e.document, e.is_redacted
         from gateway.event as e
        where e.sandbox_id = $1 and e.xid = sent.xid and e.dataset_id = $2 and e.event_id >= sent.event_id
        order by e.event_id
        limit 1
        {held}) as known
 where known.event_id = sent.event_id;

-- part: held
-- None of these events is removed until the transaction ends.
for key share

-- name: find_events_of_cluster(sandbox_id, dataset_id, xids, event_ids) -> rows
-- As `find_events`, on Citus: no LATERAL is driven from values, and the nodes that are asked are told by the keys. Walks event_pkey.
select e.xid, e.event_id, e.batch_id, e.ingested_at, e.document, e.is_redacted
  from unnest($3::uuid[], $4::text[]) as sent (xid, event_id)
  join gateway.event as e
    on e.sandbox_id = $1 and e.xid = any($3::uuid[]) and e.xid = sent.xid and e.dataset_id = $2 and e.event_id = sent.event_id;

-- name: append_resends(sandbox_id, dataset_id | xid uuid, event_id text, batch_id uuid, ingested_at timestamptz, ordinal bigint, origin uuid, named_xids uuid[], timestamp timestamptz, document jsonb, is_redacted boolean) -> none
-- Appends resends of stored events; of several in a batch with one origin, the first. Walks event_resend_pkey.
insert into gateway.event_resend (sandbox_id, dataset_id, xid, event_id, batch_id, ingested_at, ordinal, origin, named_xids, timestamp, document, is_redacted)
select $1::bigint, $2::uuid, v.* from (values {rows}) as v (xid, event_id, batch_id, ingested_at, ordinal, origin, named_xids, timestamp, document, is_redacted)
on conflict (sandbox_id, xid, dataset_id, event_id, batch_id, origin) do nothing;

-- name: take_successors(sandbox_id, dataset_id, xids, event_ids, batch_ids) -> rows
-- Deletes and returns the resends of these events, as far as these batches brought them. Walks event_pkey and event_resend_pkey.
delete from gateway.event_resend as r
 using unnest($3::uuid[], $4::text[], $5::uuid[]) as asked (xid, event_id, batch_id)
  join gateway.event as e
    on e.sandbox_id = $1 and e.xid = asked.xid and e.dataset_id = $2 and e.event_id = asked.event_id
   and (e.batch_id = asked.batch_id) is true
 where r.sandbox_id = $1 and r.xid = asked.xid and r.dataset_id = $2 and r.event_id = asked.event_id
returning r.event_id, r.batch_id, r.ingested_at, r.ordinal, r.origin, r.named_xids, r.timestamp,
          coalesce(r.document, e.document) as document, case when r.document is null then e.is_redacted else r.is_redacted end as is_redacted;

-- name: find_naming_events(sandbox_id, dataset_id, xids, event_ids) -> rows
-- The events with these `_id`s under another identity than the one paired with it, if a tie of the dataset joins the two. Walks tie_pkey,
-- and event_pkey once for each tie.
with tied as materialized (
  select distinct t.xid, t.origin
    from gateway.tie as t
   where t.sandbox_id = $1 and t.xid = any($3::uuid[]) and t.dataset_id = $2 and t.origin <> t.xid
)
select asked.xid as named, e.xid, e.event_id, e.batch_id, e.ingested_at, e.document
  from tied as t
  join unnest($3::uuid[], $4::text[]) as asked (xid, event_id) on asked.xid = t.xid
  join gateway.event as e on e.sandbox_id = $1 and e.xid = t.origin and e.dataset_id = $2 and e.event_id = asked.event_id;

-- name: take_events(sandbox_id, dataset_id, xids, event_ids) -> rows
-- Deletes and returns these events and their resends. An event's ordinal and the identities that it named are not stored. Walks event_pkey
-- and event_resend_pkey.
with gone as (
  delete from gateway.event as e
   using unnest($3::uuid[], $4::text[]) as asked (xid, event_id)
   where e.sandbox_id = $1 and e.xid = asked.xid and e.dataset_id = $2 and e.event_id = asked.event_id
  returning e.xid, e.event_id, e.batch_id, e.ingested_at, e.timestamp, e.document, e.is_redacted
), noted as (
  delete from gateway.event_resend as r
   using gone
   where r.sandbox_id = $1 and r.xid = gone.xid and r.dataset_id = $2 and r.event_id = gone.event_id
  returning r.event_id, r.batch_id, r.ingested_at, r.ordinal, r.origin, r.named_xids, r.timestamp, coalesce(r.document, gone.document) as document,
            case when r.document is null then gone.is_redacted else r.is_redacted end as is_redacted
)
select event_id, batch_id, ingested_at, -1 as ordinal, xid as origin, null::uuid[] as named_xids, timestamp, document, is_redacted from gone
 union all
select event_id, batch_id, ingested_at, ordinal, origin, named_xids, timestamp, document, is_redacted from noted;
