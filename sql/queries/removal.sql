-- Removal of selected facts, whatever selected them: the parts that are the same for every selection.

-- name: lock_removals(sandbox_id) -> value
-- Lets one removal at a time look at which facts stay beside those that it removes, until the transaction ends. Its first key is ours alone.
select pg_advisory_xact_lock(74024, $1::bigint::integer);

-- name: is_resend_stray(sandbox_id, xids) -> value
-- Whether an event under one of these identities has gone and left a resend. Walks event_resend_pkey and event_pkey.
select exists (select 1 from gateway.event_resend as r
                where r.sandbox_id = $1 and r.xid = any($2::uuid[])
                  and not exists (select 1 from gateway.event as e
                                   where e.sandbox_id = $1 and e.xid = r.xid and e.dataset_id = r.dataset_id and e.event_id = r.event_id));

-- name: remove_events(sandbox_id, dataset_id, xids, event_ids, batch_ids) -> rows
-- Removes these events of a dataset, as far as these batches brought them. Returns the identity and the batch of each that was there. Walks
-- event_pkey.
delete from gateway.event as e
 using unnest($3::uuid[], $4::text[], $5::uuid[]) as asked (xid, event_id, batch_id)
 where e.sandbox_id = $1 and e.xid = asked.xid and e.dataset_id = $2 and e.event_id = asked.event_id and (e.batch_id = asked.batch_id) is true
returning e.xid, e.batch_id;

-- name: count_removed(sandbox_id | batch_id uuid, count bigint) -> none
-- Subtract what went from the counts of batches; of what takes its place, a negative number is added. Walks batch_pkey.
update gateway.batch as b
   set record_count = b.record_count - v.count
  from (values {rows}) as v (batch_id, count)
 where b.sandbox_id = $1 and b.batch_id = v.batch_id;

-- part: counted
-- Each event of a slice with its place among those of its identity, and how many these are.
select ctid, xid, dataset_id, event_id, batch_id, row_number() over (partition by xid) as place, count(*) over (partition by xid) as among
  from slice

-- part: gone
-- Removes the events of which it was decided that they go, where they lie: they are locked.
delete from gateway.event as e
 where e.sandbox_id = $1 and e.ctid = any(array(select ctid from decided where goes))

-- part: told
-- How many events of each identity and batch went, and the `_id`s of those that stay.
select xid, dataset_id, batch_id, count(*) filter (where goes) as gone, array_agg(event_id) filter (where not goes) as event_ids
  from decided
 group by xid, dataset_id, batch_id

-- part: gone_versions
-- Removes the record versions that are going. Walks record_pkey.
delete from gateway.record as r
 using (select array_agg(xid) as xids, array_agg(dataset_id) as dataset_ids, array_agg(ordinal) as ordinals from going) as g
 cross join unnest(g.xids, g.dataset_ids, g.ordinals) as asked (xid, dataset_id, ordinal)
 where r.sandbox_id = $1 and r.xid = any(g.xids) and r.xid = asked.xid and r.dataset_id = asked.dataset_id and r.ordinal = asked.ordinal
returning r.xid, r.dataset_id, r.batch_id

-- part: gone_ties
-- Removes the rows of a tie that are `own`, one for each member. Returns the members, and which is the origin. Walks tie_pkey: said in this way, no index of
-- batches is read.
delete from gateway.tie as t
 using (select array_agg(xid) as xids, array_agg(tie_id) as tie_ids, array_agg(batch_id) as batch_ids from own) as o
 cross join unnest(o.xids, o.tie_ids, o.batch_ids) as m (xid, tie_id, batch_id)
 where t.sandbox_id = $1 and t.xid = any(o.xids) and t.xid = m.xid and t.tie_id = m.tie_id and t.batch_id is not distinct from m.batch_id
returning t.xid, t.xid = t.origin as is_of_origin

-- part: told_versions
-- How many record versions went from each record and batch.
select xid, dataset_id, batch_id, count(*) as count from gone group by xid, dataset_id, batch_id

-- name: list_remaining_people(sandbox_id, given) -> rows
-- List the given identities with an event that was sent again, or whose person has a fragment, a tie that stays, or events of another member: the
-- people of the others vanish whole with their events. `{staying_tie}` is the part of this name of the selection, whose arguments follow. Walks
-- identity_pkey, graph_pkey, event_resend_pkey, fragment_pkey, tie_pkey and event_pkey.
select i.xid
  from gateway.identity as i
  join gateway.graph as g on g.sandbox_id = $1 and g.profile_id = i.profile_id
 where i.sandbox_id = $1 and i.xid = any($2::uuid[])
   and g.profile_id = any(array(select i.profile_id from gateway.identity as i where i.sandbox_id = $1 and i.xid = any($2::uuid[])))
   and coalesce(nullif(g.is_contested, false),
                (select true from gateway.event_resend as r where r.sandbox_id = $1 and r.xid = i.xid limit 1),
                (select true
                   from unnest(g.xids) as m (xid)
                  where coalesce((select true from gateway.fragment as f where f.sandbox_id = $1 and f.xid = m.xid and not f.is_deleted limit 1),
                                 {staying_tie},
                                 (select true
                                    from gateway.event as e
                                   where e.sandbox_id = $1 and e.xid = m.xid and m.xid <> i.xid
                                   limit 1))
                  limit 1));
