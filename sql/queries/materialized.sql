-- Fragments, the states of records; and profiles, which are merged from them.

-- name: read_states(sandbox_id, xids) -> rows
-- Read the state of every record of these identities, deleted ones included. Walks fragment_pkey, and record_pkey once for each.
select f.xid, f.dataset_id, f.ordinal, f.batch_id, f.ingested_at, f.is_deleted, f.head_at, f.head_batch_id, f.head_ordinal,
       f.folded is null as is_input,
       coalesce(f.folded, (select r.input from gateway.record as r
                            where r.sandbox_id = f.sandbox_id and r.xid = f.xid and r.dataset_id = f.dataset_id
                              and r.ordinal = f.ordinal)) as document
  from gateway.fragment as f
 where f.sandbox_id = $1 and f.xid = any($2::uuid[]);

-- name: read_versions(sandbox_id, xids, dataset_ids) -> rows
-- Read all versions of the records of these identities in these datasets. Walks record_pkey.
select xid, dataset_id, ordinal, batch_id, mode, input, ingested_at
  from gateway.record
 where sandbox_id = $1 and xid = any($2::uuid[]) and dataset_id = any($3::uuid[]);

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

-- name: write_profiles(sandbox_id | policy_id uuid, profile_id uuid, document jsonb, sources uuid[], modified_at timestamptz) -> none
-- Write profiles, new or changed. Walks profile_pkey.
insert into gateway.profile as p (sandbox_id, policy_id, profile_id, document, sources, modified_at)
select $1::bigint, v.* from (values {rows}) as v (policy_id, profile_id, document, sources, modified_at)
on conflict (sandbox_id, policy_id, profile_id) do update
   set document = excluded.document, sources = excluded.sources, modified_at = excluded.modified_at;

-- name: delete_profiles(sandbox_id, policy_ids, profile_ids) -> none
-- Delete the profiles of these policies with these ids. Walks profile_pkey.
delete from gateway.profile
 where sandbox_id = $1 and policy_id = any($2::uuid[]) and profile_id = any($3::uuid[]);
