-- Removal of an aborted batch's facts, some identities at a time.

-- name: abort_batch(sandbox_id, batch_id) -> value
-- Closes a batch that is LOADING and has a key, and returns its id; none otherwise. Walks batch_pkey.
update gateway.batch
   set status = 'ABORTING', completed_at = gateway.now()
 where sandbox_id = $1 and batch_id = $2 and status = 'LOADING' and key is not null
returning batch_id;

-- name: end_abort(sandbox_id, batch_id) -> none
-- Says that nothing of a batch is left. Walks batch_pkey.
update gateway.batch
   set status = 'ABORTED', record_count = 0
 where sandbox_id = $1 and batch_id = $2 and status = 'ABORTING';

-- name: find_records(sandbox_id, batch_id, most) -> rows
-- List identities under which the batch stored records. Walks record_batch_idx.
select distinct xid from (select xid from gateway.record where sandbox_id = $1 and batch_id = $2 limit $3) as found;

-- name: find_events(sandbox_id, batch_id, most) -> rows
-- List identities under which the batch stored events. Walks event_batch_idx.
select distinct xid from (select xid from gateway.event where sandbox_id = $1 and batch_id = $2 limit $3) as found;

-- name: find_resends(sandbox_id, batch_id, most) -> rows
-- List identities under which events are stored that the batch sent again. Walks event_resend_batch_idx.
select distinct xid from (select xid from gateway.event_resend where sandbox_id = $1 and batch_id = $2 limit $3) as found;

-- name: find_ties(sandbox_id, batch_id, most) -> rows
-- List the primary identities of documents in the batch that made ties. Walks tie_batch_idx.
select distinct origin as xid from (select origin from gateway.tie where sandbox_id = $1 and batch_id = $2 limit $3) as found;

-- name: remove_records(sandbox_id, batch_id, xids) -> rows
-- Delete the versions that the batch brought for these identities. Returns the keys of their records. Walks record_pkey.
delete from gateway.record
 where sandbox_id = $1 and batch_id = $2 and xid = any($3::uuid[])
returning xid, dataset_id;

-- name: remove_ties(sandbox_id, batch_id, origins) -> rows
-- Delete the ties of the batch's documents with these primary identities. Returns their members. Walks tie_batch_idx.
delete from gateway.tie
 where sandbox_id = $1 and batch_id = $2 and origin = any($3::uuid[])
returning xid;

-- name: remove_resends(sandbox_id, batch_id, xids) -> none
-- Delete the batch's resends of events of these identities. Walks event_resend_pkey.
delete from gateway.event_resend
 where sandbox_id = $1 and batch_id = $2 and xid = any($3::uuid[]);

-- name: remove_events(sandbox_id, batch_id, xids) -> rows
-- Delete the events that the batch stored under these identities. Returns the identities that had one. Walks event_batch_idx.
with removed as (
     delete from gateway.event
      where sandbox_id = $1 and batch_id = $2 and xid = any($3::uuid[])
     returning xid)
select distinct xid from removed;
