-- Ties, as they show why identities are one person.

-- name: read_ties(sandbox_id, xids) -> rows
-- Read the live ties of these identities: each set of xids once per dataset, with its first and last time. Walks tie_pkey.
select xids, dataset_id, min(first_at) as first_at, max(last_at) as last_at
  from gateway.tie
 where sandbox_id = $1 and xid = any($2::uuid[]) and not is_retracted
 group by xids, dataset_id;

-- name: read_overlinked(sandbox_id, xids, degree_limit, size) -> rows
-- Of those of these identities that are stored with this degree limit: the newest links, each with its first and last time and its datasets;
-- whether it is of an unlinked pair; and how many links there are. Walks identity_pkey, tie_pkey and unlinked_pair_pkey.
with apart as materialized (
  select xid, other_xid from gateway.unlinked_pair where sandbox_id = $1 and xid = any($2::uuid[])
)
select i.xid, l.other, l.first_at, l.last_at, l.dataset_ids, l.links,
       exists (select 1 from apart as u where u.xid = i.xid and u.other_xid = l.other) as is_apart
  from gateway.identity i
 cross join lateral (
         select n.other, min(t.first_at) as first_at, max(t.last_at) as last_at, count(*) over () as links,
                array_agg(distinct t.dataset_id) filter (where t.dataset_id is not null) as dataset_ids
           from gateway.tie t
          cross join unnest(t.xids) as n (other)
          where t.sandbox_id = $1 and t.xid = any($2::uuid[]) and t.xid = i.xid and not t.is_retracted and n.other <> i.xid
          group by n.other
          order by max(t.last_at) desc, n.other
          limit $4) l
 where i.sandbox_id = $1 and i.xid = any($2::uuid[]) and i.degree_limit = $3
 order by i.xid, l.last_at desc, l.other;
