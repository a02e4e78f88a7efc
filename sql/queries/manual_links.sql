-- Pairs of identities that somebody linked or unlinked by hand.

-- name: read_ends(sandbox_id, xids) -> rows
-- Read those of these identities that a fact names. Walks identity_pkey.
select xid, namespace_id, erased_at
  from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]) and value is not null;

-- name: read_pair(sandbox_id, a, b) -> rows
-- Tell whether a live tie names both identities, and whether the two were unlinked by hand. Walks tie_pkey and unlinked_pair_pkey.
select exists (select 1 from gateway.tie where sandbox_id = $1 and xid = $2 and not is_retracted and $3::uuid = any(xids)) as is_tied,
       exists (select 1 from gateway.unlinked_pair where sandbox_id = $1 and xid = $2 and other_xid = $3) as is_apart;

-- name: insert_unlinked_pair(sandbox_id | xid uuid, other_xid uuid) -> none
-- Keep two identities apart from now on, with one row for each side. Walks unlinked_pair_pkey.
insert into gateway.unlinked_pair (sandbox_id, xid, other_xid, created_at)
select $1::bigint, v.xid, v.other_xid, gateway.now() from (values {rows}) as v (xid, other_xid)
on conflict (sandbox_id, xid, other_xid) do nothing;

-- name: delete_unlinked_pair(sandbox_id, xids) -> none
-- Let two identities join again. Walks unlinked_pair_pkey.
delete from gateway.unlinked_pair
 where sandbox_id = $1 and xid = any($2::uuid[]) and other_xid = any($2::uuid[]);

-- name: delete_manual_tie(sandbox_id, xids, tie_id) -> none
-- Delete the manual tie of these identities. Walks tie_pkey.
delete from gateway.tie
 where sandbox_id = $1 and xid = any($2::uuid[]) and tie_id = $3 and batch_id = '00000000-0000-0000-0000-000000000000';
