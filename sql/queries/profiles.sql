-- Materialized profiles; fragments and events, as far as profiles are made of them.

-- name: read_fragments(sandbox_id, xids) -> rows
-- Read the live fragments of these identities. Walks fragment_pkey, and record_pkey once for each that was not folded.
select f.xid, f.dataset_id, f.batch_id,
       coalesce(f.folded, (select r.input
                             from gateway.record r
                            where r.sandbox_id = $1 and r.xid = f.xid and r.dataset_id = f.dataset_id
                              and r.ordinal = f.ordinal)) as document,
       f.ingested_at, f.observed_at, f.ordinal
  from gateway.fragment f
 where f.sandbox_id = $1 and f.xid = any($2::uuid[]) and not f.is_deleted;

-- name: read_fragments_of_cluster(sandbox_id, xids) -> rows
-- As `read_fragments`, on Citus, where the keys of both tables tell which nodes are asked. Walks fragment_pkey and record_pkey.
select f.xid, f.dataset_id, f.batch_id, coalesce(f.folded, r.input) as document, f.ingested_at, f.observed_at, f.ordinal
  from gateway.fragment f
  left join gateway.record r
    on r.sandbox_id = $1 and r.xid = any($2::uuid[]) and r.xid = f.xid and r.dataset_id = f.dataset_id and r.ordinal = f.ordinal and f.folded is null
 where f.sandbox_id = $1 and f.xid = any($2::uuid[]) and not f.is_deleted;

-- name: read_fragment_times(sandbox_id, xids) -> rows
-- Read when a live record of each identity was last ingested, for identities that have one. Walks fragment_pkey.
select xid, max(ingested_at) as modified_at
  from gateway.fragment
 where sandbox_id = $1 and xid = any($2::uuid[]) and not is_deleted
 group by xid;

-- name: read_event_origins(sandbox_id, xids) -> rows
-- Read the datasets of each identity's events, and when the newest was ingested, for identities with events. Walks event_pkey.
select xid, array_agg(distinct dataset_id) as sources, max(ingested_at) as modified_at
  from gateway.event
 where sandbox_id = $1 and xid = any($2::uuid[])
 group by xid;

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

-- name: list_materialized(sandbox_id, policy_id, profile_ids) -> rows
-- List the subjects among these for which the policy has a profile already. Walks profile_pkey.
select profile_id
  from gateway.profile
 where sandbox_id = $1 and policy_id = $2 and profile_id = any($3::uuid[]);
