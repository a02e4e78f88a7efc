-- Properties of this Postgres, and the statistics of its planner.

-- name: read_release() -> value
-- The release of the server, such as 18.6, without the name of its packager.
select split_part(current_setting('server_version'), ' ', 1);

-- name: is_distributed() -> value
-- Tell whether tables may be spread over the nodes of a Citus cluster.
select exists (select 1 from pg_extension where extname = 'citus');

-- name: limit_time(milliseconds) -> value
-- Let statements take so long until the transaction ends: to empty a large sandbox takes longer than others may.
select set_config('statement_timeout', $1, true);

-- name: share_snapshot() -> row
-- The name under which other transactions see what this one sees, as long as it lasts. Not below a savepoint.
select pg_export_snapshot() as name;

-- name: see_snapshot() -> none
-- See what the transaction sees that gave the name, before the first statement.
set transaction snapshot '{name}';

-- name: notify(channels) -> rows
-- Send a notification on each channel. It need not survive a crash of the server, so its commit waits for no disk.
select set_config('synchronous_commit', 'off', true), pg_notify(channel, '') from unnest($1::text[]) as channel;

-- name: analyze() -> none
-- Analyze the tables of facts and views that have doubled since they were last analyzed: Postgres chooses bad plans by the statistics of
-- empty tables until autovacuum analyzes them, as it does when they have grown by a tenth. Of the
-- columns, those of an index: no plan depends on others, and to compare documents takes most of the time. A tenth of the usual sample
-- tells as much of keys, which are all different, for a third of the time.
do $$
declare
  name text;
  columns text;
begin
  perform set_config('default_statistics_target', '10', true);
  for name, columns in
    select c.relname,
           (select string_agg(distinct quote_ident(a.attname), ', ')
              from pg_index i
              join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
             where i.indrelid = c.oid)
      from pg_class c
     where c.relnamespace = 'gateway'::regnamespace
       and c.relname in ('identity', 'graph', 'tie', 'record', 'fragment', 'profile', 'event', 'change')
       and pg_relation_size(c.oid) > 2 * greatest(c.relpages, 0) * current_setting('block_size')::bigint
     order by c.relname
  loop
    execute format('analyze gateway.%I (%s)', name, columns);
  end loop;
end $$;
