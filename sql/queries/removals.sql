-- A batch's facts leave, some identities at a time.

-- name: abort_batch(sandbox_id, batch_id) -> value
-- The batch's id if it could be aborted, or was. Walks batch_pkey.
update gateway.batch
   set status = 'ABORTED', completed_at = coalesce(completed_at, gateway.now())
 where sandbox_id = $1 and batch_id = $2 and status in ('LOADING', 'ABORTED')
returning batch_id;

-- name: find_records(sandbox_id, batch_id, most) -> rows
-- Identities under which the batch stored records. Walks record_batch_idx.
select distinct xid from (select xid from gateway.record where sandbox_id = $1 and batch_id = $2 limit $3) as found;

-- name: find_events(sandbox_id, batch_id, most) -> rows
-- Identities under which the batch brought events first. Walks event_batch_idx.
select distinct xid from (select xid from gateway.event where sandbox_id = $1 and batch_id = $2 limit $3) as found;

-- name: find_repeats(sandbox_id, batch_id, most) -> rows
-- Identities of whose known events the batch sent some again. Walks event_repeat_batch_idx.
select distinct xid from (select xid from gateway.event_repeat where sandbox_id = $1 and batch_id = $2 limit $3) as found;

-- name: find_ties(sandbox_id, batch_id, most) -> rows
-- Identities whose documents in the batch tied some. Walks tie_batch_idx.
select distinct origin as xid from (select origin from gateway.tie where sandbox_id = $1 and batch_id = $2 limit $3) as found;

-- name: remove_records(sandbox_id, batch_id, xids) -> rows
-- The records of these identities that lost a version. Walks record_pkey.
delete from gateway.record
 where sandbox_id = $1 and batch_id = $2 and xid = any($3::uuid[])
returning xid, dataset_id;

-- name: remove_ties(sandbox_id, batch_id, origins) -> rows
-- Whom the removed ties tied. Walks tie_batch_idx.
delete from gateway.tie
 where sandbox_id = $1 and batch_id = $2 and origin = any($3::uuid[])
returning xid;

-- name: remove_repeats(sandbox_id, batch_id, xids) -> none
-- Walks event_repeat_pkey.
delete from gateway.event_repeat
 where sandbox_id = $1 and batch_id = $2 and xid = any($3::uuid[]);

-- name: find_heirs(sandbox_id, batch_id, xids) -> rows
-- Of the batch's events under these identities, those that other batches sent too: the earliest of these has them now. Walks event_pkey and event_repeat_pkey.
select distinct on (e.xid, e.dataset_id, e.event_id) e.xid, e.dataset_id, e.event_id, r.batch_id, r.ingested_at
  from gateway.event as e
  join gateway.event_repeat as r
    on r.sandbox_id = e.sandbox_id and r.xid = e.xid and r.dataset_id = e.dataset_id and r.event_id = e.event_id
 where e.sandbox_id = $1 and e.batch_id = $2 and e.xid = any($3::uuid[]) and r.xid = any($3::uuid[])
 order by e.xid, e.dataset_id, e.event_id, r.ingested_at, r.batch_id;

-- name: inherit_events(sandbox_id, xids | xid uuid, dataset_id uuid, event_id text, batch_id uuid, ingested_at timestamptz) -> none
-- These events belong to the next batch that sent them. Walks event_timeline_idx.
update gateway.event as e
   set batch_id = v.batch_id, ingested_at = v.ingested_at
  from (values {rows}) as v (xid, dataset_id, event_id, batch_id, ingested_at)
 where e.sandbox_id = $1 and e.xid = any($2::uuid[]) and e.xid = v.xid and e.dataset_id = v.dataset_id and e.event_id = v.event_id;

-- name: spend_repeats(sandbox_id, xids | xid uuid, dataset_id uuid, event_id text, batch_id uuid) -> none
-- The repeats that became the events' own batch. Walks event_repeat_pkey.
delete from gateway.event_repeat as r
 using (values {rows}) as v (xid, dataset_id, event_id, batch_id)
 where r.sandbox_id = $1 and r.xid = any($2::uuid[]) and r.xid = v.xid and r.dataset_id = v.dataset_id
   and r.event_id = v.event_id and r.batch_id = v.batch_id;

-- name: remove_events(sandbox_id, batch_id, xids) -> none
-- Walks event_batch_idx.
delete from gateway.event
 where sandbox_id = $1 and batch_id = $2 and xid = any($3::uuid[]);
