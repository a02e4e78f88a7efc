-- Pointers of identities, and the graphs that they lead to.

-- name: read_pointers(sandbox_id, xids) -> rows
-- Read the stored ones of these identities with the persons that they belong to, when they were erased, and whether no fact names them since.
-- Walks identity_pkey.
select xid, profile_id, erased_at, value is null as is_unnamed
  from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]);

-- name: read_members(sandbox_id, xids) -> rows
-- Read those of these identities that a fact names, with everything that the graph rules use. Walks identity_pkey.
select xid, namespace_id, value, profile_id, degree_limit
  from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]) and value is not null;

-- name: read_graphs(sandbox_id, profile_ids) -> rows
-- Read the graphs that exist of these. Walks graph_pkey.
select profile_id, xids, is_contested, size
  from gateway.graph
 where sandbox_id = $1 and profile_id = any($2::uuid[]);

-- name: lock_graphs(sandbox_id, profile_ids) -> rows
-- Lock and read the graphs that exist of these, in the order of ids, so that two writers cannot wait for each other. Walks graph_pkey.
select profile_id, xids, is_contested
  from gateway.graph
 where sandbox_id = $1 and profile_id = any($2::uuid[])
 order by profile_id
   for update;

-- name: name_again(sandbox_id | xid uuid, value text, profile_id uuid) -> none
-- Give erased identities that are used again their value and their person. Fewer rows than sent: another writer was first. Walks identity_pkey.
update gateway.identity as i
   set value = v.value, profile_id = v.profile_id
  from (values {rows}) as v (xid, value, profile_id)
 where i.sandbox_id = $1 and i.xid = v.xid and i.value is null;

-- name: relink(sandbox_id, xids | xid uuid, profile_id uuid) -> none
-- Point these identities to their person. Walks identity_pkey.
update gateway.identity as i
   set profile_id = v.profile_id
  from (values {rows}) as v (xid, profile_id)
 where i.sandbox_id = $1 and i.xid = any($2::uuid[]) and i.xid = v.xid;

-- name: update_graphs(sandbox_id, profile_ids | profile_id uuid, xids uuid[], identity_map json, is_contested boolean, size integer) -> none
-- Write graphs that exist. Walks graph_pkey.
update gateway.graph as g
   set xids = v.xids, identity_map = v.identity_map, is_contested = v.is_contested, size = v.size
  from (values {rows}) as v (profile_id, xids, identity_map, is_contested, size)
 where g.sandbox_id = $1 and g.profile_id = any($2::uuid[]) and g.profile_id = v.profile_id;

-- name: delete_graphs(sandbox_id, profile_ids) -> none
-- Delete graphs. Walks graph_pkey.
delete from gateway.graph
 where sandbox_id = $1 and profile_id = any($2::uuid[]);
