-- No table is partitioned.
--
-- Records, fragments, profiles and events are written anew: every row once, so that it takes as long as a copy of the database, and as much
-- space. Indexes for searches stay: each is made again, of the whole table instead of its partitions.

create schema gateway_before;                                                     -- what is moved there takes its indexes along, so that their names are free
alter table gateway.record set schema gateway_before;
alter table gateway.fragment set schema gateway_before;
alter table gateway.profile set schema gateway_before;
alter table gateway.event set schema gateway_before;

create table gateway.record (like gateway_before.record including all excluding indexes);
create table gateway.fragment (like gateway_before.fragment including all excluding indexes);
create table gateway.profile (like gateway_before.profile including all excluding indexes);
create table gateway.event (like gateway_before.event including all excluding indexes);

insert into gateway.record select * from gateway_before.record order by sandbox_id, xid;
insert into gateway.fragment select * from gateway_before.fragment order by sandbox_id, xid;
insert into gateway.profile select * from gateway_before.profile order by sandbox_id, profile_id;
insert into gateway.event select * from gateway_before.event order by sandbox_id, xid;

alter table gateway.record add primary key (sandbox_id, xid, dataset_id, ordinal);
alter table gateway.fragment add primary key (sandbox_id, xid, dataset_id);
alter table gateway.profile add primary key (sandbox_id, policy_id, profile_id);
create index record_batch_idx on gateway.record (sandbox_id, batch_id);
create index event_timeline_idx on gateway.event (sandbox_id, xid, timestamp, event_id);
create index event_batch_idx on gateway.event (sandbox_id, batch_id);
alter table gateway.event add primary key (sandbox_id, xid, dataset_id, event_id);

alter table gateway.profile alter column document set statistics 0;
alter table gateway.event
  alter column event_id set statistics 0,
  alter column event_type set statistics 0,
  alter column document set statistics 0;

do $$
declare
  made record;
  name text;
begin
  for made in
    select o.relname, pg_get_indexdef(o.oid) as definition, x.indkey[0] = 0 as is_of_expression
      from pg_class o
      join pg_index x on x.indexrelid = o.oid
     where o.relnamespace = 'gateway'::regnamespace and o.relname ~ '^search_\d+_[0-9a-f]+_0$' and x.indisvalid
  loop
    name := regexp_replace(made.relname, '_0$', '');
    execute regexp_replace(made.definition, '^CREATE INDEX \w+ ON gateway\.(profile|event)_0 ', format('create index %I on gateway.\1 ', name));
    if made.is_of_expression then
      execute format('alter index gateway.%I alter column 1 set statistics 0', name);
    end if;
  end loop;
end $$;

drop schema gateway_before cascade;
