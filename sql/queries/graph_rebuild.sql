-- Graphs rebuilt from the facts.

-- name: named_by_facts(sandbox_id, xids) -> rows
-- List the identities among these that a fact names: a record version, an event or a tie. A deletion names none, unless it stands for
-- versions that went. Walks the keys of all three.
select i.xid
  from gateway.identity as i
 where i.sandbox_id = $1 and i.xid = any($2::uuid[])
   and (exists (select from gateway.record as r where r.sandbox_id = $1 and r.xid = i.xid and (r.mode <> 'DELETE' or r.first_at is not null))
        or exists (select from gateway.event as e where e.sandbox_id = $1 and e.xid = i.xid)
        or exists (select from gateway.tie as t where t.sandbox_id = $1 and t.xid = i.xid));

-- name: delete_identities(sandbox_id, xids) -> none
-- Delete identities that no fact names any more. Of erased ones the rows stay without their values. Walks identity_pkey.
with emptied as (
  update gateway.identity set value = null, profile_id = null, degree_limit = default, has_events = default
   where sandbox_id = $1 and xid = any($2::uuid[]) and (erased_at is not null) is true
)
delete from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]) and erased_at is null;

-- name: set_degree_limits(sandbox_id, xids | xid uuid, degree_limit smallint) -> none
-- Set how many neighbours each identity may have and join others. Walks identity_pkey.
update gateway.identity as i
   set degree_limit = v.degree_limit
  from (values {rows}) as v (xid, degree_limit)
 where i.sandbox_id = $1 and i.xid = any($2::uuid[]) and i.xid = v.xid;

-- name: note_events(sandbox_id, xids, has_events) -> none
-- Note of these identities whether they have events. Walks identity_pkey.
update gateway.identity
   set has_events = $3
 where sandbox_id = $1 and xid = any($2::uuid[]) and has_events <> $3::boolean;

-- name: list_graphs(sandbox_id, after, size) -> rows
-- List the graphs after this one. Walks graph_pkey.
select profile_id, xids, identity_map, is_contested
  from gateway.graph
 where sandbox_id = $1 and profile_id > $2
 order by profile_id
 limit $3;
