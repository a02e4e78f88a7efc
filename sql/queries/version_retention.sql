-- Record versions that only the revert of a batch would need, once it can be reverted no longer.

-- name: settle_batches(sandbox_id, days, size) -> rows
-- Says of up to `size` batches of records that they can be reverted no longer: those that were completed so many days ago. Batches that others
-- work on are passed over. Returns the time, which is the same for all. Walks batch_dataset_idx and batch_pkey.
with due as materialized (
  select b.batch_id
    from gateway.batch as b
    join gateway.dataset as d on d.sandbox_id = $1 and d.dataset_id = b.dataset_id
    join gateway.xdm_schema as s on s.sandbox_id = $1 and s.schema_id = d.schema_id
   cross join gateway.now() as stamp
   where b.sandbox_id = $1 and b.status in ('ACTIVE', 'FAILED') and b.settled_at is null
     and b.completed_at < stamp - make_interval(secs => $2 * 86400) and s.class = 'INDIVIDUAL_PROFILE'
   limit $3
     for update of b skip locked
)
update gateway.batch as b
   set settled_at = stamp
  from due, gateway.now() as stamp
 where b.sandbox_id = $1 and b.batch_id = due.batch_id
returning b.settled_at;

-- name: find_last(sandbox_id, after_xid, after_dataset_id, size) -> row
-- The key of the record of the last of so many record versions after those of a record; no row if there are none. Walks record_pkey.
select xid, dataset_id
  from (select xid, dataset_id
          from gateway.record
         where sandbox_id = $1 and (xid, dataset_id) > ($2, $3)
         order by xid, dataset_id
         limit $4) as slice
 order by xid desc, dataset_id desc
 limit 1;

-- name: list_versions(sandbox_id, since, after_xid, after_dataset_id, last_xid, last_dataset_id, size) -> rows
-- List so many of the versions of the records between two, the last one included, that have several, of which a batch that was settled since then
-- brought one; record by record, and in the order of versions. Tells whether the batch of each is settled, and whether it stands for others. Walks
-- record_pkey and batch_pkey.
with slice as materialized (
  select r.xid, r.dataset_id, r.batch_id
    from gateway.record as r
   where r.sandbox_id = $1 and (r.xid, r.dataset_id) > ($3, $4) and (r.xid, r.dataset_id) <= ($5, $6)
), asked as materialized (
  select s.xid, s.dataset_id
    from slice as s
    join gateway.batch as b on b.sandbox_id = $1 and b.batch_id = s.batch_id
   group by s.xid, s.dataset_id
  having count(*) > 1 and max(b.settled_at) >= $2
), versions as materialized (
  select r.xid, r.dataset_id, r.ordinal, r.batch_id, r.mode, r.ingested_at, pg_column_size(r.input) as size, r.first_at is not null as stands
    from asked
    join gateway.record as r on r.sandbox_id = $1 and r.xid = asked.xid and r.dataset_id = asked.dataset_id
   order by r.xid, r.dataset_id, r.ingested_at, r.batch_id, r.ordinal
   limit $7
)
select v.*, (select b.settled_at is not null from gateway.batch as b where b.sandbox_id = $1 and b.batch_id = v.batch_id) as is_settled
  from versions as v
 order by v.xid, v.dataset_id, v.ingested_at, v.batch_id, v.ordinal;

-- name: remove_versions(sandbox_id | xid uuid, dataset_id uuid, ordinal bigint, stand_in bigint) -> none
-- Removes versions of records, and has for each another version of its record keep its time. Walks record_pkey.
with gone as materialized (
  delete from gateway.record as r
   using (values {rows}) as v (xid, dataset_id, ordinal, stand_in)
   where r.sandbox_id = $1 and r.xid = v.xid and r.dataset_id = v.dataset_id and r.ordinal = v.ordinal
  returning r.xid, r.dataset_id, v.stand_in, least(r.first_at, r.observed_at, r.ingested_at) as first_at,
            greatest(r.last_at, least(r.observed_at, r.ingested_at)) as last_at
)
update gateway.record as r
   set first_at = least(r.first_at, g.first_at), last_at = greatest(r.last_at, g.last_at)
  from (select xid, dataset_id, stand_in, min(first_at) as first_at, max(last_at) as last_at from gone group by xid, dataset_id, stand_in) as g
 where r.sandbox_id = $1 and r.xid = g.xid and r.dataset_id = g.dataset_id and r.ordinal = g.stand_in;
