-- Identities tell whether events are stored under them, and graphs which of their members these are.

alter table gateway.identity add column has_events boolean not null default false;
update gateway.identity as i
   set has_events = true
 where exists (select from gateway.event as e where e.sandbox_id = i.sandbox_id and e.xid = i.xid);

alter table gateway.graph add column event_xids uuid[] not null default '{}';
update gateway.graph as g
   set event_xids = found.xids
  from (select i.sandbox_id, i.profile_id, array_agg(i.xid order by array_position(of.xids, i.xid)) as xids
          from gateway.identity as i
          join gateway.graph as of on of.sandbox_id = i.sandbox_id and of.profile_id = i.profile_id
         where i.has_events
         group by i.sandbox_id, i.profile_id) as found
 where g.sandbox_id = found.sandbox_id and g.profile_id = found.profile_id;
alter table gateway.graph alter column event_xids drop default;
