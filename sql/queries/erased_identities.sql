-- Identities that were erased: what is left of them, and refuses documents.

-- name: list_erased(sandbox_id, size) -> rows
-- List identities that were erased, of the namespaces that there are. Walks identity_erased_idx.
select i.xid, i.namespace_id, i.erased_at, i.erased_by as job_id, coalesce(i.refused_count, 0) as refused_count
  from gateway.identity as i
 where i.sandbox_id = $1 and i.erased_at is not null {between}
   and i.namespace_id = any(array(select namespace_id from gateway.namespace where sandbox_id = $1))
 order by {order}
 limit $2;

-- name: count_erased(sandbox_id) -> value
-- How many there are. Walks identity_erased_idx.
select count(*)
  from gateway.identity as i
 where i.sandbox_id = $1 and i.erased_at is not null
   and i.namespace_id = any(array(select namespace_id from gateway.namespace where sandbox_id = $1));

-- name: lock_erased(sandbox_id, xid) -> row
-- An identity, locked until the transaction ends: when it was erased, null for never, and by which job if that is open. Walks identity_pkey.
with locked as materialized (
  select erased_at, erased_by
    from gateway.identity
   where sandbox_id = $1 and xid = $2
     for update
)
select i.erased_at,
       (select j.job_id
          from gateway.job as j
         where j.sandbox_id = $1 and j.job_id = i.erased_by and (j.status in ('NEW', 'PROCESSING')) is true) as open_id
  from locked as i;

-- name: lift(sandbox_id, xid) -> none
-- Forgets that an identity was erased: its row goes, unless facts name it again. Walks identity_pkey.
with kept as (
  update gateway.identity
     set erased_at = null, erased_by = null, erased_with = null, refused_count = null
   where sandbox_id = $1 and xid = $2 and value is not null
)
delete from gateway.identity
 where sandbox_id = $1 and xid = $2 and value is null;
