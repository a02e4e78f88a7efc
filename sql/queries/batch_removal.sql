-- Batches that are given up, and the facts of a batch as a selection that is removed.

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

-- name: count_facts(sandbox_id, batch_id) -> value
-- The number of the batch's record versions, events and resends. Walks record_batch_idx, event_batch_idx and event_resend_batch_idx.
select (select count(*) from gateway.record where sandbox_id = $1 and batch_id = $2)
     + (select count(*) from gateway.event where sandbox_id = $1 and batch_id = $2)
     + (select count(*) from gateway.event_resend where sandbox_id = $1 and batch_id = $2);

-- name: remove_resends(sandbox_id, batch_id, size) -> rows
-- Removes the batch's resends under the identities of so many of them; no view tells of resends. Walks event_resend_batch_idx and
-- event_resend_pkey.
delete from gateway.event_resend
 where sandbox_id = $1 and batch_id = $2
   and xid = any(array(select xid from gateway.event_resend where sandbox_id = $1 and batch_id = $2 limit $3))
returning xid;

-- name: remove_events_concurrently(sandbox_id, batch_id, size) -> rows
-- Removes, of so many of the batch's events, those that were not sent again, as long as the identity of each keeps another event or a
-- fragment, or ties of other batches to somebody with a fragment; events that a writer holds are passed over. Returns, for each identity,
-- how many went, and the `_id`s that stay. Walks event_batch_idx, event_resend_pkey, fragment_pkey, event_pkey, tie_pkey, identity_pkey and
-- graph_pkey.
with slice as materialized (
  select xid, dataset_id, event_id
    from gateway.event
   where sandbox_id = $1 and batch_id = $2
   limit $3
     for update skip locked
), counted as materialized (
  select xid, dataset_id, event_id, row_number() over (partition by xid) as place, count(*) over (partition by xid) as among
    from slice
), decided as materialized (
  select c.xid, c.dataset_id, c.event_id,
         (select true
            from gateway.event_resend as r
           where r.sandbox_id = $1 and r.xid = c.xid and r.dataset_id = c.dataset_id and r.event_id = c.event_id
           limit 1) is null
         and (c.place > 1
              or (select count(*)
                    from (select from gateway.event as e where e.sandbox_id = $1 and e.xid = c.xid limit c.among + 1) as seen) > c.among
              or (select true from gateway.fragment as f where f.sandbox_id = $1 and f.xid = c.xid and not f.is_deleted limit 1) is not null
              or (select true
                    from gateway.identity as i
                    join gateway.graph as g on g.sandbox_id = $1 and g.profile_id = i.profile_id
                   where i.sandbox_id = $1 and i.xid = c.xid
                     and (select true from gateway.tie as t where t.sandbox_id = $1 and t.xid = c.xid and t.batch_id <> $2 limit 1)
                     and (select true
                            from unnest(g.xids) as m (xid)
                           where (select true from gateway.fragment as f where f.sandbox_id = $1 and f.xid = m.xid and not f.is_deleted limit 1)
                           limit 1)
                   limit 1) is not null) as goes
    from counted as c
), gone as (
  delete from gateway.event as e
   using (select array_agg(xid) as xids, array_agg(event_id) as event_ids from decided where goes) as d
   cross join unnest(d.xids, d.event_ids) as asked (xid, event_id)
   where e.sandbox_id = $1 and e.xid = asked.xid and e.event_id = asked.event_id
     and e.dataset_id = (select dataset_id from gateway.batch where sandbox_id = $1 and batch_id = $2)
)
select xid, dataset_id, $2::uuid as batch_id, count(*) filter (where goes) as gone, array_agg(event_id) filter (where not goes) as event_ids
  from decided
 group by xid, dataset_id;

-- name: list_remaining_people(sandbox_id, batch_id, xids) -> rows
-- List the identities among these with an event that was sent again, or whose person has a fragment, ties of other batches, or events of
-- another member: the people of the others vanish whole with their events. Walks identity_pkey, graph_pkey, event_resend_pkey, fragment_pkey, event_pkey and tie_pkey.
select i.xid
  from gateway.identity as i
  join gateway.graph as g on g.sandbox_id = $1 and g.profile_id = i.profile_id
 where i.sandbox_id = $1 and i.xid = any($3::uuid[])
   and g.profile_id = any(array(select i.profile_id from gateway.identity as i where i.sandbox_id = $1 and i.xid = any($3::uuid[])))
   and coalesce(nullif(g.is_contested, false),
                (select true from gateway.event_resend as r where r.sandbox_id = $1 and r.xid = i.xid limit 1),
                (select true
                   from unnest(g.xids) as m (xid)
                  where coalesce((select true from gateway.fragment as f where f.sandbox_id = $1 and f.xid = m.xid and not f.is_deleted limit 1),
                                 (select true from gateway.tie as t where t.sandbox_id = $1 and t.xid = m.xid and t.batch_id <> $2 limit 1),
                                 (select true
                                    from gateway.event as e
                                   where e.sandbox_id = $1 and e.xid = m.xid and m.xid <> i.xid
                                   limit 1))
                  limit 1));

-- name: find_events(sandbox_id, batch_id, size) -> rows
-- List so many of the batch's events. Walks event_batch_idx.
select dataset_id, xid, event_id from gateway.event where sandbox_id = $1 and batch_id = $2 limit $3;

-- name: find_records(sandbox_id, batch_id, size) -> rows
-- List identities under which the batch stored record versions: those of so many of them. Walks record_batch_idx.
select distinct xid from (select xid from gateway.record where sandbox_id = $1 and batch_id = $2 limit $3) as found;

-- name: find_ties(sandbox_id, batch_id, size) -> rows
-- List primary identities of the batch's documents that made ties: those of so many rows. Walks tie_batch_idx.
select distinct origin as xid from (select origin from gateway.tie where sandbox_id = $1 and batch_id = $2 limit $3) as found;

-- name: remove_records(sandbox_id, batch_id, xids) -> rows
-- Removes the versions that the batch brought for these identities. Returns the key of the record of each. Walks record_pkey.
delete from gateway.record
 where sandbox_id = $1 and batch_id = $2 and xid = any($3::uuid[])
returning xid, dataset_id, batch_id;

-- name: remove_ties(sandbox_id, batch_id, origins) -> rows
-- Removes the ties of the batch's documents with these primary identities. Returns their members. Walks tie_pkey.
with own as materialized (
  select distinct t.tie_id, m.xid
    from (select tie_id, xid, origin, batch_id, xids from gateway.tie where sandbox_id = $1 and xid = any($3::uuid[]) offset 0) as t
   cross join unnest(t.xids) as m (xid)
   where t.batch_id = $2 and t.origin = t.xid
)
delete from gateway.tie as t
 using (select array_agg(xid) as xids, array_agg(tie_id) as tie_ids from own) as o
 cross join unnest(o.xids, o.tie_ids) as m (xid, tie_id)
 where t.sandbox_id = $1 and t.xid = m.xid and t.tie_id = m.tie_id and t.batch_id = $2
returning t.xid;
