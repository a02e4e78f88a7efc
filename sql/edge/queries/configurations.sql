-- Which edition of each projection configuration an edge serves.

-- part: noticed
-- Another version of the settings of a sandbox, of which one configuration is written by the statement itself.
noticed as (
  update edge.sandbox
     set settings_version = pg_current_xact_id()::text::bigint
   where sandbox_id = $1
), noticed_by_others as (
  update edge.configuration
     set settings_version = pg_current_xact_id()::text::bigint
   where sandbox_id = $1
     and configuration_id <> $2
)

-- name: switch(sandbox_id, configuration_id, edition, name, replication_policy, ttl, events_within) -> none
-- Serve another edition of a configuration, or serve it for the first time.
with {noticed}, filled as (
  delete from edge.fill
   where sandbox_id = $1
     and configuration_id = $2
     and edition = $3
)
insert into edge.configuration (sandbox_id, configuration_id, edition, name, replication_policy, ttl, events_within, settings_version)
values ($1, $2, $3, $4, $5, $6, $7, pg_current_xact_id()::text::bigint)
on conflict (sandbox_id, configuration_id) do update
   set edition = excluded.edition, name = excluded.name, replication_policy = excluded.replication_policy, ttl = excluded.ttl,
       events_within = excluded.events_within, settings_version = excluded.settings_version, confirmed_at = null;

-- name: keep_erased(sandbox_id, configuration_id, edition) -> none
-- Keep in an edition what was erased while another one is served.
insert into edge.identity (sandbox_id, identity, configuration_id, edition, absent_until)
select i.sandbox_id, i.identity, i.configuration_id, $3, i.absent_until
  from edge.identity i
  join edge.configuration served
    on served.sandbox_id = $1 and served.configuration_id = $2 and served.edition = i.edition
 where i.sandbox_id = $1
   and i.configuration_id = $2
   and i.absent_until = 'infinity'
on conflict do nothing;

-- name: stop_serving(sandbox_id, configuration_id) -> none
-- Serve a configuration no longer.
with {noticed}
delete from edge.configuration
 where sandbox_id = $1
   and configuration_id = $2;

-- name: list_served(sandbox_id) -> rows
-- List the configurations that are served. Walks configuration_pkey.
select configuration_id, edition, name, replication_policy, ttl, events_within
  from edge.configuration
 where sandbox_id = $1
 order by configuration_id;
