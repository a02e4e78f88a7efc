-- What ties say of people, for those who want to see why they are one person.

-- name: read_ties(sandbox_id, xids) -> rows
-- What the live ties of these identities say, each saying once for every dataset, with its first and last time. Walks tie_pkey.
select xids, dataset_id, min(first_at) as first_at, max(last_at) as last_at
  from gateway.tie
 where sandbox_id = $1 and xid = any($2::uuid[]) and not is_retracted
 group by xids, dataset_id;
