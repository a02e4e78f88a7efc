-- Keys and rows that `gateway verify` compares with the rebuilt views.

-- name: list_identities(sandbox_id, after, size) -> rows
-- List the identities after this one that a fact names. Walks identity_pkey.
select xid
  from gateway.identity
 where sandbox_id = $1 and xid > $2 and value is not null
 order by xid
 limit $3;

-- name: list_values(sandbox_id, after, size) -> rows
-- List the identities after this one with their values, without tombstones. Walks identity_pkey.
select xid, namespace_id, value
  from gateway.identity
 where sandbox_id = $1 and xid > $2 and value is not null
 order by xid
 limit $3;

-- name: read_records(sandbox_id, xids) -> rows
-- List the records of these identities that have a version. Walks record_pkey.
select distinct xid, dataset_id
  from gateway.record
 where sandbox_id = $1 and xid = any($2::uuid[]);

-- name: read_graphs(sandbox_id, profile_ids) -> rows
-- Read the graphs with these profile ids. Walks graph_pkey.
select profile_id, xids, identity_map, is_contested, size, event_xids
  from gateway.graph
 where sandbox_id = $1 and profile_id = any($2::uuid[]);

-- name: read_profiles(sandbox_id, policy_ids, profile_ids) -> rows
-- Read the materialized profiles of these policies with these ids. Walks profile_pkey.
select policy_id, profile_id, document, sources, modified_at
  from gateway.profile
 where sandbox_id = $1 and policy_id = any($2::uuid[]) and profile_id = any($3::uuid[]);

-- name: read_ties(sandbox_id, xids) -> rows
-- Read every tie that names one of these identities, live or retracted, and whether its batch is settled. Walks tie_pkey and batch_pkey.
with tied as materialized (
  select xid, tie_id, batch_id, dataset_id, origin, ingested_at, ordinal, first_at, last_at, is_retracted
    from gateway.tie
   where sandbox_id = $1 and xid = any($2::uuid[])
)
select t.*, (select b.settled_at is not null from gateway.batch as b where b.sandbox_id = $1 and b.batch_id = t.batch_id) as is_settled
  from tied as t;

-- name: list_graphs(sandbox_id, after, size) -> rows
-- List the graphs after this one. Walks graph_pkey.
select profile_id
  from gateway.graph
 where sandbox_id = $1 and profile_id > $2
 order by profile_id
 limit $3;

-- name: list_fragments(sandbox_id, after, after_dataset_id, size) -> rows
-- List the fragments after this one. Walks fragment_pkey.
select xid, dataset_id
  from gateway.fragment
 where sandbox_id = $1 and (xid, dataset_id) > ($2, $3)
 order by xid, dataset_id
 limit $4;

-- name: list_profiles(sandbox_id, policy_id, after, size) -> rows
-- List the profiles of a policy after this one. Walks profile_pkey.
select profile_id
  from gateway.profile
 where sandbox_id = $1 and policy_id = $2 and profile_id > $3
 order by profile_id
 limit $4;

-- name: find_stray_policy(sandbox_id, policy_ids) -> value
-- Find a policy that has a profile and is none of these. Walks profile_pkey as far as one row.
select policy_id
  from gateway.profile
 where sandbox_id = $1 and policy_id <> all($2::uuid[])
 limit 1;

-- name: count_events(sandbox_id, xids) -> value
-- Count the events of these identities. Walks event_timeline_idx.
select count(*)
  from gateway.event
 where sandbox_id = $1 and xid = any($2::uuid[]);

-- name: list_duplicate_events(sandbox_id, xids) -> rows
-- List the `_id`s that several of these identities have in one dataset; xids in the order of arrival, and the time of each. Walks event_pkey.
select dataset_id, event_id, array_agg(xid order by ingested_at, batch_id, xid) as xids, array_agg(ingested_at order by ingested_at, batch_id, xid) as times
  from gateway.event
 where sandbox_id = $1 and xid = any($2::uuid[])
 group by dataset_id, event_id
having count(*) > 1;

-- name: list_stray_resends(sandbox_id, xids) -> rows
-- List the resends under these identities without a stored event, or that do not name its identity. Walks event_resend_pkey and event_pkey.
select r.xid, r.dataset_id, r.event_id
  from gateway.event_resend as r
 where r.sandbox_id = $1 and r.xid = any($2::uuid[])
   and (r.xid <> all(r.named_xids)
        or not exists (select from gateway.event as e
                        where e.sandbox_id = $1 and e.xid = r.xid and e.dataset_id = r.dataset_id and e.event_id = r.event_id));

-- name: read_oldest_change(sandbox_id) -> value
-- Read the smallest number in the journal. Walks change_pkey.
select seq
  from gateway.change
 where sandbox_id = $1
 order by seq
 limit 1;

-- name: list_changes(sandbox_id, seq, place, size) -> rows
-- List the rows of the journal after this one. Walks change_pkey.
select seq, place, profile_id, xids
  from gateway.change
 where sandbox_id = $1 and (seq, place) > ($2, $3)
 order by seq, place
 limit $4;

-- name: count_facts_of_batches(sandbox_id, after, size) -> rows
-- List batches after this one that no job takes back, with how many facts they count and how many of them are stored. Walks batch_pkey,
-- record_batch_idx and event_batch_idx.
with slice as materialized (
  select batch_id, record_count
    from gateway.batch
   where sandbox_id = $1 and batch_id > $2 and status in ('LOADING', 'ACTIVE', 'FAILED')
   order by batch_id
   limit $3
), versions as materialized (
  select batch_id, count(*) as count from gateway.record where sandbox_id = $1 and batch_id = any(array(select batch_id from slice)) group by batch_id
), events as materialized (
  select batch_id, count(*) as count from gateway.event where sandbox_id = $1 and batch_id = any(array(select batch_id from slice)) group by batch_id
)
select s.batch_id, s.record_count, coalesce(v.count, 0) + coalesce(e.count, 0) as stored
  from slice as s
  left join versions as v using (batch_id)
  left join events as e using (batch_id)
 order by s.batch_id;
