-- Batches that are taken back or deleted, and the facts of batches as a selection that is removed.

-- name: lock_batch(sandbox_id, batch_id) -> row
-- The batch, which keeps its status until the transaction ends, and the status of its dataset, which keeps that. Walks batch_pkey and dataset_pkey.
select b.batch_id, b.dataset_id, b.key, b.status, b.record_count, b.failed_count, b.created_at, b.completed_at, b.created_by, b.settled_at,
       d.status as dataset_status
  from gateway.batch as b
  join gateway.dataset as d on d.sandbox_id = $1 and d.dataset_id = b.dataset_id
 where b.sandbox_id = $1 and b.batch_id = $2
   for no key update of b
   for share of d;

-- name: close_batch(sandbox_id, batch_id, status) -> value
-- Give the batch a status in which it takes no documents, and return when it was completed: now, unless it was before. Walks batch_pkey.
update gateway.batch
   set status = $3, completed_at = coalesce(completed_at, gateway.now())
 where sandbox_id = $1 and batch_id = $2
returning completed_at;

-- name: end_removal(sandbox_id, batch_ids) -> none
-- Says that nothing of these batches is left. Walks batch_pkey.
update gateway.batch
   set status = case status when 'ABORTING' then 'ABORTED' when 'REVERTING' then 'REVERTED' else 'DELETED' end,
       record_count = 0, failed_count = case status when 'DELETING' then 0 else failed_count end
 where sandbox_id = $1 and batch_id = any($2::uuid[]) and status in ('ABORTING', 'REVERTING', 'DELETING');

-- name: give_back_batch(sandbox_id, job_id) -> none
-- Gives the batch that a job was to empty the status that it had before. Walks job_pkey and batch_pkey.
update gateway.batch as b
   set status = j.input ->> 'status', completed_at = case j.input ->> 'status' when 'LOADING' then null else b.completed_at end
  from gateway.job as j
 where j.sandbox_id = $1 and j.job_id = $2 and b.sandbox_id = $1 and b.batch_id = j.subject and b.status in ('REVERTING', 'DELETING');

-- name: remove_errors(sandbox_id, batch_ids, size) -> rows
-- Removes so many of the documents of these batches that were refused. Walks ingest_error_pkey.
delete from gateway.ingest_error as e
 using (select batch_id, ordinal from gateway.ingest_error where sandbox_id = $1 and batch_id = any($2::uuid[]) limit $3) as chosen
 where e.sandbox_id = $1 and e.batch_id = chosen.batch_id and e.ordinal = chosen.ordinal
returning e.batch_id;

-- name: count_facts(sandbox_id, batch_ids) -> row
-- The numbers of record versions, events and resends, ties and refused documents of these batches. A tie has a row for each of its members,
-- its origin among them. Walks record_batch_idx, event_batch_idx, event_resend_batch_idx, tie_batch_idx and ingest_error_pkey.
select (select count(*) from gateway.record where sandbox_id = $1 and batch_id = any($2::uuid[])) as record_versions,
       (select count(*) from gateway.event where sandbox_id = $1 and batch_id = any($2::uuid[]))
         + (select count(*) from gateway.event_resend where sandbox_id = $1 and batch_id = any($2::uuid[])) as events,
       (select count(*) from gateway.tie where sandbox_id = $1 and batch_id = any($2::uuid[]) and xid = origin) as ties,
       (select count(*) from gateway.ingest_error where sandbox_id = $1 and batch_id = any($2::uuid[])) as errors;

-- name: remove_resends(sandbox_id, batch_ids, size) -> rows
-- Removes the batches' resends under the identities of so many of them; no view tells of resends. Walks event_resend_batch_idx and
-- event_resend_pkey.
delete from gateway.event_resend
 where sandbox_id = $1 and batch_id = any($2::uuid[])
   and xid = any(array(select xid from gateway.event_resend where sandbox_id = $1 and batch_id = any($2::uuid[]) limit $3))
returning xid;

-- name: find_identities_with_events(sandbox_id, batch_ids, size) -> rows
-- List identities under which the batches stored events: those of so many of them. Walks event_batch_idx.
select distinct xid from (select xid from gateway.event where sandbox_id = $1 and batch_id = any($2::uuid[]) limit $3) as found order by xid;

-- name: remove_events_concurrently(sandbox_id, batch_ids, given, size) -> rows
-- Removes, of so many of the batches' events under the given identities, in the order of these, those that were not sent again, as long as the
-- identity of each keeps another event or a fragment, or ties of other batches to somebody with a fragment; events that a writer holds are passed
-- over. Returns, for each identity and batch, how many went, and the `_id`s that stay. Walks event_pkey, event_resend_pkey, fragment_pkey, tie_pkey,
-- identity_pkey and graph_pkey.
with slice as materialized (
  select e.*
    from unnest($3::uuid[]) as asked (xid)
   cross join lateral (
         select e.ctid, e.xid, e.dataset_id, e.event_id, e.batch_id
           from gateway.event as e
          where e.sandbox_id = $1 and e.xid = asked.xid and (e.batch_id = any($2::uuid[])) is true
          limit $4
            for update skip locked) as e
   limit $4
), counted as materialized (
  {counted}
), decided as materialized (
  select c.ctid, c.xid, c.dataset_id, c.event_id, c.batch_id,
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
                     and (select true from gateway.tie as t where t.sandbox_id = $1 and t.xid = c.xid and t.batch_id <> all($2::uuid[]) limit 1)
                     and (select true
                            from unnest(g.xids) as m (xid)
                           where (select true from gateway.fragment as f where f.sandbox_id = $1 and f.xid = m.xid and not f.is_deleted limit 1)
                           limit 1)
                   limit 1) is not null) as goes
    from counted as c
), gone as (
  {gone}
)
{told};

-- part: staying_tie
-- Whether a tie of a member stays: of another batch.
(select true from gateway.tie as t where t.sandbox_id = $1 and t.xid = m.xid and t.batch_id <> all($3::uuid[]) limit 1)

-- name: find_events(sandbox_id, batch_ids, size) -> rows
-- List so many of the batches' events. Walks event_batch_idx.
select dataset_id, xid, event_id, batch_id from gateway.event where sandbox_id = $1 and batch_id = any($2::uuid[]) limit $3;

-- name: find_records(sandbox_id, batch_ids, size) -> rows
-- List identities under which the batches stored record versions: those of so many of them. Walks record_batch_idx.
select distinct xid from (select xid from gateway.record where sandbox_id = $1 and batch_id = any($2::uuid[]) limit $3) as found;

-- name: find_ties(sandbox_id, batch_ids, size) -> rows
-- List primary identities of the batches' documents that made ties: those of so many rows. Walks tie_batch_idx.
select distinct origin as xid from (select origin from gateway.tie where sandbox_id = $1 and batch_id = any($2::uuid[]) limit $3) as found;

-- name: remove_records(sandbox_id, batch_ids, xids, size) -> rows
-- Removes so many of the versions that the batches brought for these identities. Returns how many went from each record and batch. Walks record_pkey:
-- `is true` keeps the index of batches out, which would be read from end to end for each piece.
with going as materialized (
  select xid, dataset_id, ordinal
    from gateway.record
   where sandbox_id = $1 and (batch_id = any($2::uuid[])) is true and xid = any($3::uuid[])
   limit $4
), gone as (
  {gone_versions}
)
{told_versions};

-- name: remove_ties(sandbox_id, batch_ids, origins) -> rows
-- Removes the ties of the batches' documents with these primary identities. Returns their members, and which is the origin. Walks tie_pkey.
with own as materialized (
  select distinct t.tie_id, t.batch_id, m.xid
    from (select tie_id, xid, origin, batch_id, xids from gateway.tie where sandbox_id = $1 and xid = any($3::uuid[]) offset 0) as t
   cross join unnest(t.xids) as m (xid)
   where t.batch_id = any($2::uuid[]) and t.origin = t.xid
)
{gone_ties};
