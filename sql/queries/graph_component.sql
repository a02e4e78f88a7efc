-- Who hangs together with whom by ties.

-- name: read_ties(sandbox_id, xids) -> rows
-- What the live ties of these identities say, each saying once with its newest time. Walks tie_pkey.
select xids, max(last_at) as at
  from gateway.tie
 where sandbox_id = $1 and xid = any($2::uuid[]) and not is_retracted
 group by xids;

-- name: read_unlinked_pairs(sandbox_id, xids) -> rows
-- The pairs with one of these identities that were unlinked by hand. Walks unlinked_pair_pkey.
select xid, other_xid
  from gateway.unlinked_pair
 where sandbox_id = $1 and xid = any($2::uuid[]);

-- name: with_facts(sandbox_id, xids) -> rows
-- Those of these identities under which a live fragment or an event is stored. Walks identity_pkey, fragment_pkey, event_timeline_idx.
select i.xid
  from gateway.identity as i
 where i.sandbox_id = $1 and i.xid = any($2::uuid[])
   and (exists (select from gateway.fragment as f where f.sandbox_id = $1 and f.xid = i.xid and not f.is_deleted)
        or exists (select from gateway.event as e where e.sandbox_id = $1 and e.xid = i.xid));
