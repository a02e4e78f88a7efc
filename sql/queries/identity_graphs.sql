-- Ties, as they show why identities are one person.

-- name: read_ties(sandbox_id, xids) -> rows
-- Read the live ties of these identities: each set of xids once per dataset, with its first and last time. Walks tie_pkey.
select xids, dataset_id, min(first_at) as first_at, max(last_at) as last_at
  from gateway.tie
 where sandbox_id = $1 and xid = any($2::uuid[]) and not is_retracted
 group by xids, dataset_id;
