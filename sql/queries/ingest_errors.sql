-- Refused documents, kept with their batch.

-- name: list_errors(sandbox_id, batch_ids, codes, size) -> rows
-- A page of the refused documents of each batch that break a rule with one of the codes, by arrival. Walks ingest_error_pkey once for each
-- batch.
select e.batch_id, e.ordinal, e.index, e.paths, e.codes, e.messages, e.document
  from gateway.batch b
 cross join lateral (
       select *
         from gateway.ingest_error e
        where e.sandbox_id = $1 and e.batch_id = b.batch_id and ($3::text[] is null or e.codes && $3)
          {between}
        order by {order}
        limit $4) e
 where b.sandbox_id = $1 and b.batch_id = any($2::uuid[])
 order by {order};

-- name: count_errors(sandbox_id, batch_ids, codes) -> rows
-- The number of stored refused documents of these batches that break a rule with one of the codes; batches without any are missing. Walks
-- ingest_error_pkey.
select batch_id, count(*) as count
  from gateway.ingest_error
 where sandbox_id = $1 and batch_id = any($2::uuid[]) and ($3::text[] is null or codes && $3)
 group by batch_id;

-- name: list_failed_indexes(sandbox_id, batch_id) -> rows
-- The indexes of the batch's refused documents in the client's input, each once. Walks ingest_error_pkey.
select distinct index
  from gateway.ingest_error
 where sandbox_id = $1 and batch_id = $2
 order by index;

-- name: expire_errors(sandbox_id, days, size) -> rows
-- Removes up to `size` refused documents that came more than so many days ago, the oldest first, and returns their ordinals. Walks
-- ingest_error_refused_idx and ingest_error_pkey.
with old as materialized (
  select o.batch_id, o.ordinal
    from gateway.ingest_error as o
   where o.sandbox_id = $1 and o.refused_at < (select gateway.now()) - make_interval(secs => $2 * 86400)
   order by o.refused_at
   limit $3
)
delete from gateway.ingest_error as e
 where e.sandbox_id = $1 and e.batch_id = any(array(select batch_id from old)) and e.ordinal = any(array(select ordinal from old))
   and (e.batch_id, e.ordinal) in (select batch_id, ordinal from old)
returning e.ordinal;

-- name: purge_errors(sandbox_id, xids, size) -> rows
-- Removes so many of the refused documents that name any of these identities, and returns their ordinals. Walks ingest_error_xids_idx and
-- ingest_error_pkey.
with naming as materialized (
  select n.batch_id, n.ordinal from gateway.ingest_error as n where n.sandbox_id = $1 and n.xids && $2::uuid[] limit $3
)
delete from gateway.ingest_error as e
 where e.sandbox_id = $1 and e.batch_id = any(array(select batch_id from naming)) and e.ordinal = any(array(select ordinal from naming))
   and (e.batch_id, e.ordinal) in (select batch_id, ordinal from naming)
returning e.ordinal;
