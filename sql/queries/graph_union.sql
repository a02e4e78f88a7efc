-- Pointers of identities, and the graphs that they lead to.

-- name: read_pointers(sandbox_id, xids) -> rows
-- Read the stored ones of these identities with the persons that they belong to, whether they may have events, when they were erased, and
-- whether no fact names them since. Walks identity_pkey.
select xid, profile_id, has_events, erased_at, value is null as is_unnamed
  from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]);

-- name: read_members(sandbox_id, xids) -> rows
-- Read those of these identities that a fact names, with everything that the graph rules use. Walks identity_pkey.
select xid, namespace_id, value, profile_id, degree_limit
  from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]) and value is not null;

-- name: read_graphs(sandbox_id, profile_ids) -> rows
-- Read the graphs that exist of these. Walks graph_pkey.
select profile_id, xids, event_xids, is_contested, size
  from gateway.graph
 where sandbox_id = $1 and profile_id = any($2::uuid[]);

-- name: lock_graphs(sandbox_id, profile_ids) -> rows
-- Lock and read the graphs that exist of these, in the order of ids, so that two writers cannot wait for each other; on a cluster they are locked
-- before. Walks graph_pkey.
select profile_id, xids, event_xids, is_contested
  from gateway.graph
 where sandbox_id = $1 and profile_id = any($2::uuid[])
 order by profile_id
   {lock};

-- name: name_again(sandbox_id | xid uuid, value text, profile_id uuid, has_events boolean) -> none
-- Give erased identities that are used again their value and their person. Fewer rows than sent: another writer was first. Walks identity_pkey.
update gateway.identity as i
   set value = v.value, profile_id = v.profile_id, has_events = v.has_events
  from (values {rows}) as v (xid, value, profile_id, has_events)
 where i.sandbox_id = $1 and i.xid = v.xid and i.value is null;

-- name: relink(sandbox_id, xids | xid uuid, profile_id uuid) -> none
-- Point these identities to their person. Walks identity_pkey.
update gateway.identity as i
   set profile_id = v.profile_id
  from (values {rows}) as v (xid, profile_id)
 where i.sandbox_id = $1 and i.xid = any($2::uuid[]) and i.xid = v.xid;

-- name: note_first_events(sandbox_id, profile_ids, xids) -> rows
-- Lock the graphs that identities belong to, in the order of ids, note in them and in the identities that these have events, and return how many
-- graphs there were. Another writer may have noted some meanwhile. Walks graph_pkey and identity_pkey.
with locked as materialized (
  select profile_id
    from gateway.graph
   where sandbox_id = $1 and profile_id = any($2::uuid[])
   order by profile_id
     {lock}
), noted as (
  update gateway.identity
     set has_events = true
   where sandbox_id = $1 and xid = any($3::uuid[]) and not has_events
)
update gateway.graph as g
   set event_xids = case when g.event_xids && v.xids then array(select distinct n.xid from unnest(g.event_xids || v.xids) as n (xid)) else g.event_xids || v.xids end
  from (select profile_id, array_agg(xid) as xids from unnest($2::uuid[], $3::uuid[]) as v (profile_id, xid) group by profile_id) as v
 where g.sandbox_id = $1 and g.profile_id = any(array(select profile_id from locked)) and g.profile_id = v.profile_id and g.xids @> v.xids
returning g.profile_id;

-- name: update_graphs(sandbox_id, profile_ids | profile_id uuid, xids uuid[], identity_map json, is_contested boolean, size integer, event_xids uuid[]) -> none
-- Write graphs that exist. Walks graph_pkey.
update gateway.graph as g
   set xids = v.xids, identity_map = v.identity_map, is_contested = v.is_contested, size = v.size,
       event_xids = v.event_xids
  from (values {rows}) as v (profile_id, xids, identity_map, is_contested, size, event_xids)
 where g.sandbox_id = $1 and g.profile_id = any($2::uuid[]) and g.profile_id = v.profile_id;

-- name: delete_graphs(sandbox_id, profile_ids) -> none
-- Delete graphs. Walks graph_pkey.
delete from gateway.graph
 where sandbox_id = $1 and profile_id = any($2::uuid[]);
