-- Fragments, the states of records, and the ties that records retract.

-- name: read_states(sandbox_id, xids) -> rows
-- Read the state of every record of these identities, deleted ones included. Walks fragment_pkey, and record_pkey once for each.
select f.xid, f.dataset_id, f.ordinal, f.batch_id, f.ingested_at, f.is_deleted, f.head_at, f.head_batch_id, f.head_ordinal,
       f.folded is null as is_input,
       coalesce(f.folded, (select r.input from gateway.record as r
                            where r.sandbox_id = f.sandbox_id and r.xid = f.xid and r.dataset_id = f.dataset_id
                              and r.ordinal = f.ordinal)) as document
  from gateway.fragment as f
 where f.sandbox_id = $1 and f.xid = any($2::uuid[]);

-- name: read_states_of_cluster(sandbox_id, xids) -> rows
-- As `read_states`, on Citus, where the keys of both tables tell which nodes are asked. Walks fragment_pkey and record_pkey.
select f.xid, f.dataset_id, f.ordinal, f.batch_id, f.ingested_at, f.is_deleted, f.head_at, f.head_batch_id, f.head_ordinal,
       f.folded is null as is_input, coalesce(f.folded, r.input) as document
  from gateway.fragment as f
  left join gateway.record as r
    on r.sandbox_id = $1 and r.xid = any($2::uuid[]) and r.xid = f.xid and r.dataset_id = f.dataset_id and r.ordinal = f.ordinal and f.folded is null
 where f.sandbox_id = $1 and f.xid = any($2::uuid[]);

-- name: list_all_versions(sandbox_id, xids) -> rows
-- List all versions of the records of these identities as `list_versions` does, record after record, and of each in order. Walks record_pkey.
select xid, dataset_id, ordinal, batch_id, mode, ingested_at, pg_column_size(input) as size
  from gateway.record
 where sandbox_id = $1 and xid = any($2::uuid[])
 order by xid, dataset_id, ingested_at, batch_id, ordinal;

-- name: list_versions(sandbox_id, xids, dataset_ids) -> rows
-- List all versions of these records without their inputs, and how many bytes each input takes as it is stored. Walks record_pkey.
select r.xid, r.dataset_id, r.ordinal, r.batch_id, r.mode, r.ingested_at, pg_column_size(r.input) as size
  from unnest($2::uuid[], $3::uuid[]) as asked (xid, dataset_id)
  join gateway.record as r on r.sandbox_id = $1 and r.xid = any($2::uuid[]) and r.xid = asked.xid and r.dataset_id = asked.dataset_id;

-- name: write_fragments(sandbox_id | xid uuid, dataset_id uuid, ordinal bigint, batch_id uuid, ingested_at timestamptz, observed_at timestamptz, folded json, is_deleted boolean, head_at timestamptz, head_batch_id uuid, head_ordinal bigint) -> none
-- Write fragments, new or changed. Walks fragment_pkey.
insert into gateway.fragment as f
       (sandbox_id, xid, dataset_id, ordinal, batch_id, ingested_at, observed_at, folded, is_deleted, head_at, head_batch_id, head_ordinal)
select $1::bigint, v.*
  from (values {rows}) as v (xid, dataset_id, ordinal, batch_id, ingested_at, observed_at, folded, is_deleted, head_at, head_batch_id, head_ordinal)
on conflict (sandbox_id, xid, dataset_id) do update
   set ordinal = excluded.ordinal, batch_id = excluded.batch_id, ingested_at = excluded.ingested_at,
       observed_at = excluded.observed_at, folded = excluded.folded, is_deleted = excluded.is_deleted,
       head_at = excluded.head_at, head_batch_id = excluded.head_batch_id, head_ordinal = excluded.head_ordinal;

-- name: delete_fragments(sandbox_id | xid uuid, dataset_id uuid) -> none
-- Delete the fragments of records that have no version any more. Walks fragment_pkey.
delete from gateway.fragment as f
 using (values {rows}) as v (xid, dataset_id)
 where f.sandbox_id = $1 and f.xid = v.xid and f.dataset_id = v.dataset_id;

-- name: read_record_ties(sandbox_id, origins) -> rows
-- Read the ties that records of these identities made, one row for each. Walks tie_pkey.
select tie_id, batch_id, dataset_id, origin, ingested_at, ordinal, xids, is_retracted
  from gateway.tie
 where sandbox_id = $1 and xid = any($2::uuid[]) and origin = xid;

-- name: retract_ties(sandbox_id, xids | tie_id uuid, batch_id uuid, is_retracted boolean) -> none
-- Retract ties, as a later deletion of their record does, or revive them. Walks tie_pkey.
update gateway.tie as t
   set is_retracted = v.is_retracted
  from (values {rows}) as v (tie_id, batch_id, is_retracted)
 where t.sandbox_id = $1 and t.xid = any($2::uuid[]) and t.tie_id = v.tie_id and t.batch_id = v.batch_id;
