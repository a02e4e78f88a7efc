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

-- name: compare_ties(sandbox_id, xids, dataset_ids) -> rows
-- List the ties of records of these identities in these datasets that differ from what the versions say. `should_be_retracted`: a later deletion of the
-- record retracts it. `is_said`: of the versions in its batch that are retracted alike, one has its first time and one its last; or its batch
-- is settled, as ties stay when the versions go that made them. Walks tie_pkey, record_pkey and batch_pkey.
with deletion as materialized (
  select distinct on (xid, dataset_id) xid, dataset_id, ingested_at, batch_id, ordinal
    from gateway.record
   where sandbox_id = $1 and xid = any($2::uuid[]) and dataset_id = any($3::uuid[]) and mode = 'DELETE'
   order by xid, dataset_id, ingested_at desc, batch_id desc, ordinal desc
), said as materialized (
  select distinct r.xid, r.dataset_id, r.batch_id, coalesce(r.observed_at, r.ingested_at) as at,
         ((r.ingested_at, r.batch_id, r.ordinal) < (d.ingested_at, d.batch_id, d.ordinal)) is true as is_retracted
    from gateway.record as r
    left join deletion as d on d.xid = r.xid and d.dataset_id = r.dataset_id
   where r.sandbox_id = $1 and r.xid = any($2::uuid[]) and r.dataset_id = any($3::uuid[])
), tied as materialized (
  select t.xid, t.dataset_id, t.tie_id, t.batch_id, t.first_at, t.last_at, t.is_retracted,
         ((t.ingested_at, t.batch_id, t.ordinal) < (d.ingested_at, d.batch_id, d.ordinal)) is true as should_be_retracted
    from gateway.tie as t
    left join deletion as d on d.xid = t.xid and d.dataset_id = t.dataset_id
   where t.sandbox_id = $1 and t.xid = any($2::uuid[]) and t.origin = t.xid and t.dataset_id = any($3::uuid[])
), compared as materialized (
  select t.tie_id, t.batch_id, t.is_retracted, t.should_be_retracted, begun.xid is not null and ended.xid is not null as is_said
    from tied as t
    left join said as begun on (begun.xid, begun.dataset_id, begun.batch_id, begun.at, begun.is_retracted) = (t.xid, t.dataset_id, t.batch_id, t.first_at, t.should_be_retracted)
    left join said as ended on (ended.xid, ended.dataset_id, ended.batch_id, ended.at, ended.is_retracted) = (t.xid, t.dataset_id, t.batch_id, t.last_at, t.should_be_retracted)
)
select c.tie_id, c.is_retracted, c.should_be_retracted, c.is_said or b.settled_at is not null as is_said
  from compared as c
  left join gateway.batch as b on b.sandbox_id = $1 and b.batch_id = c.batch_id
 where c.is_retracted <> c.should_be_retracted or not (c.is_said or b.settled_at is not null);

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
