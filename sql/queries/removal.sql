-- Removal of selected facts, whatever selected them: the parts that are the same for every selection.

-- name: lock_removals(sandbox_id) -> value
-- Lets one removal at a time look at which facts stay beside those that it removes, until the transaction ends. Its first key is ours alone.
select pg_advisory_xact_lock(74024, $1::bigint::integer);

-- name: is_resend_stray(sandbox_id, xids) -> value
-- Whether an event under one of these identities has gone and left a resend. Walks event_resend_pkey and event_pkey.
select exists (select from gateway.event_resend as r
                where r.sandbox_id = $1 and r.xid = any($2::uuid[])
                  and not exists (select from gateway.event as e
                                   where e.sandbox_id = $1 and e.xid = r.xid and e.dataset_id = r.dataset_id and e.event_id = r.event_id));

-- name: remove_events(sandbox_id, dataset_id, xids, event_ids) -> rows
-- Removes these events of a dataset. Returns the identity and the batch of each that was there. Walks event_pkey.
delete from gateway.event as e
 using unnest($3::uuid[], $4::text[]) as asked (xid, event_id)
 where e.sandbox_id = $1 and e.xid = asked.xid and e.dataset_id = $2 and e.event_id = asked.event_id
returning e.xid, e.batch_id;

-- name: count_removed(sandbox_id | batch_id uuid, count bigint) -> none
-- Subtract what went from the counts of batches; of what takes its place, a negative number is added. Walks batch_pkey.
update gateway.batch as b
   set record_count = greatest(b.record_count - v.count, 0)
  from (values {rows}) as v (batch_id, count)
 where b.sandbox_id = $1 and b.batch_id = v.batch_id;
