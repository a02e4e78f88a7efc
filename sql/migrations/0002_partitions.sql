-- Four partitions of each table of documents and none of the others, as in the first release.
--
-- Databases made before it have eight partitions of all of them, and are written anew: every row once, so that it takes as long as a
-- copy of the database, and as much space. On a database of the first release nothing happens.

do $$
declare
  parent text;
  part   integer;
begin
  if (select relkind from pg_class where oid = 'gateway.identity'::regclass) <> 'p' then
    return;
  end if;

  create schema gateway_before;                                                   -- what is moved there takes its indexes along, so that their names are free

  foreach parent in array array['record', 'fragment', 'profile', 'event'] loop
    for part in 0..7 loop
      execute format('alter table gateway.%I detach partition gateway.%I', parent, parent || '_' || part);
      execute format('alter table gateway.%I set schema gateway_before', parent || '_' || part);
    end loop;
    for part in 0..3 loop
      execute format('create table gateway.%I partition of gateway.%I for values with (modulus 4, remainder %s)', parent || '_' || part, parent, part);
    end loop;
    for part in 0..7 loop
      execute format('insert into gateway.%I select * from gateway_before.%I', parent, parent || '_' || part);
    end loop;
  end loop;

  foreach parent in array array['identity', 'graph', 'tie'] loop
    execute format('alter table gateway.%I set schema gateway_before', parent);
  end loop;

  create table gateway.identity (
    sandbox_id   bigint not null,
    xid          uuid not null,
    namespace_id integer not null,
    value        text,
    profile_id   uuid,
    rung         smallint not null default 100,
    erased_at    timestamptz,
    primary key (sandbox_id, xid)
  );
  create table gateway.graph (
    sandbox_id   bigint not null,
    profile_id   uuid not null,
    xids         uuid[] not null,
    identity_map json not null,
    is_contested boolean not null default false,
    size         integer not null,
    primary key (sandbox_id, profile_id)
  );
  create table gateway.tie (
    sandbox_id   bigint not null,
    xid          uuid not null,
    tie_id       uuid not null,
    batch_id     uuid not null,
    dataset_id   uuid,
    origin       uuid not null,
    ingested_at  timestamptz not null,
    ordinal      bigint not null,
    xids         uuid[] not null,
    first_at     timestamptz not null,
    last_at      timestamptz not null,
    is_retracted boolean not null default false,
    primary key (sandbox_id, xid, tie_id, batch_id)
  );
  foreach parent in array array['identity', 'graph', 'tie'] loop
    execute format('insert into gateway.%I select * from gateway_before.%I', parent, parent);
  end loop;
  create index tie_batch_idx on gateway.tie (sandbox_id, batch_id);

  drop schema gateway_before cascade;
end $$;
