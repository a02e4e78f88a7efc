-- People who vanish whole.

-- name: drop_vanished(sandbox_id, xids) -> rows
-- Delete the uncontested graphs that these identities belong to, and all of their identities, where no fact names any of these: a record
-- version that is no deletion or stands for one that went, an event or a tie. Of erased identities the rows stay without
-- their values. Returns the graphs. Walks identity_pkey, graph_pkey, event_timeline_idx, tie_pkey and record_pkey.
with {vanished}, gone as (
  delete from gateway.graph where sandbox_id = $1 and profile_id = any(array(select profile_id from vanished))
), unnamed as (
  delete from gateway.identity
   where sandbox_id = $1 and xid = any(array(select m.xid from vanished cross join unnest(xids) as m (xid))) and erased_at is null
), emptied as (
  update gateway.identity set value = null, profile_id = null, degree_limit = default, has_events = default
   where sandbox_id = $1 and xid = any(array(select m.xid from vanished cross join unnest(xids) as m (xid))) and (erased_at is not null) is true
)
select profile_id, xids from vanished;

-- part: vanished
-- The graphs, each looked at member by member as far as the first that a fact names.
vanished as materialized (
  select g.profile_id, g.xids
    from gateway.graph as g
   where g.sandbox_id = $1
     and g.profile_id = any(array(select i.profile_id from gateway.identity as i where i.sandbox_id = $1 and i.xid = any($2::uuid[])))
     and not g.is_contested
     and not exists (select
                       from unnest(g.xids) as m (xid)
                      where coalesce((select true from gateway.event as e where e.sandbox_id = $1 and e.xid = m.xid limit 1),
                                     (select true from gateway.tie as t where t.sandbox_id = $1 and t.xid = m.xid limit 1),
                                     (select true from gateway.record as r where r.sandbox_id = $1 and r.xid = m.xid and (r.mode <> 'DELETE' or r.first_at is not null) limit 1)))
)

-- part: vanished_of_cluster
-- The graphs, on Citus, where facts lie beside the identities that they are of, and elsewhere than the graphs.
asked as materialized (
  select g.profile_id, g.xids
    from gateway.graph as g
   where g.sandbox_id = $1
     and g.profile_id = any(array(select i.profile_id from gateway.identity as i where i.sandbox_id = $1 and i.xid = any($2::uuid[])))
     and not g.is_contested
), named as materialized (
  select i.xid
    from gateway.identity as i
   where i.sandbox_id = $1 and i.xid = any(array(select m.xid from asked cross join unnest(xids) as m (xid)))
     and coalesce((select true from gateway.event as e where e.sandbox_id = $1 and e.xid = i.xid limit 1),
                  (select true from gateway.tie as t where t.sandbox_id = $1 and t.xid = i.xid limit 1),
                  (select true from gateway.record as r where r.sandbox_id = $1 and r.xid = i.xid and (r.mode <> 'DELETE' or r.first_at is not null) limit 1))
), vanished as materialized (
  select profile_id, xids from asked where not xids && array(select xid from named)
)
