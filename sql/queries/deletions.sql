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
-- Identities of whose known events the batch sent some again. Walks event_resend_batch_idx.
select distinct xid from (select xid from gateway.event_resend where sandbox_id = $1 and batch_id = $2 limit $3) as found;

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
-- Walks event_resend_pkey.
delete from gateway.event_resend
 where sandbox_id = $1 and batch_id = $2 and xid = any($3::uuid[]);

-- name: remove_events(sandbox_id, batch_id, xids) -> none
-- Walks event_batch_idx.
delete from gateway.event
 where sandbox_id = $1 and batch_id = $2 and xid = any($3::uuid[]);
