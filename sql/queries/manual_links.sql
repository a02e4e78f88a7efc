-- What people decide about pairs of identities, beside what rows say of them.

-- name: read_pair(sandbox_id, a, b) -> rows
-- Whether any live tie names both, and whether the two were unlinked by hand. Walks tie_pkey and unlinked_pair_pkey.
select exists (select from gateway.tie where sandbox_id = $1 and xid = $2 and not is_retracted and $3::uuid = any(xids)) as is_tied,
       exists (select from gateway.unlinked_pair where sandbox_id = $1 and xid = $2 and other_xid = $3) as is_apart;

-- name: part(sandbox_id | xid uuid, other_xid uuid) -> none
-- The two are kept apart from now on, one row for each side. Walks unlinked_pair_pkey.
insert into gateway.unlinked_pair (sandbox_id, xid, other_xid, created_at)
select $1::bigint, v.xid, v.other_xid, gateway.now() from (values {rows}) as v (xid, other_xid)
on conflict (sandbox_id, xid, other_xid) do nothing;

-- name: let_join(sandbox_id, xids) -> none
-- The two are kept apart no more. Walks unlinked_pair_pkey.
delete from gateway.unlinked_pair
 where sandbox_id = $1 and xid = any($2::uuid[]) and other_xid = any($2::uuid[]);

-- name: untie(sandbox_id, xids, tie_id) -> none
-- What was tied by hand. Walks tie_pkey.
delete from gateway.tie
 where sandbox_id = $1 and xid = any($2::uuid[]) and tie_id = $3 and batch_id = '00000000-0000-0000-0000-000000000000';
