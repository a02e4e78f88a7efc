-- graph_union.lock_graphs
select profile_id, xids, event_xids, is_contested
  from gateway.graph
 where sandbox_id = $1 and profile_id = any($2::uuid[])
 order by profile_id
   for update;
