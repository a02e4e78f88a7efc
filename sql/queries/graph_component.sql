-- Ties, unlinked pairs and facts of the identities in a component.

-- name: read_ties(sandbox_id, xids) -> rows
-- Read the live ties of these identities: each set of xids once, with its latest time. Walks tie_pkey.
select xids, max(last_at) as at
  from gateway.tie
 where sandbox_id = $1 and xid = any($2::uuid[]) and not is_retracted
 group by xids;

-- name: read_unlinked_pairs(sandbox_id, xids) -> rows
-- Read the unlinked pairs with one of these identities. Walks unlinked_pair_pkey.
select xid, other_xid
  from gateway.unlinked_pair
 where sandbox_id = $1 and xid = any($2::uuid[]);

-- name: with_facts(sandbox_id, xids) -> rows
-- Tell which of these identities have a live fragment, which have an event, and of which that is noted. Walks identity_pkey, fragment_pkey,
-- event_timeline_idx. `among`: see `distribution.AMONG`.
select i.xid, i.has_events as is_noted,
       (select true from gateway.event as e where e.sandbox_id = $1 and e.xid = i.xid{among} limit 1) is not null as has_events,
       (select true from gateway.fragment as f where f.sandbox_id = $1 and f.xid = i.xid{among} and not f.is_deleted limit 1) is not null as has_fragment
  from gateway.identity as i
 where i.sandbox_id = $1 and i.xid = any($2::uuid[]);
