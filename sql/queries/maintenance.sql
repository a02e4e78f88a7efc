-- Properties of this Postgres, and the statistics of its planner.

-- name: is_distributed() -> value
-- Tell whether tables may be spread over the nodes of a Citus cluster.
select exists (select 1 from pg_extension where extname = 'citus');

-- name: lift_time_limit() -> value
-- Lift the statement timeout until the transaction ends: to empty a large sandbox takes longer.
select set_config('statement_timeout', '0', true);

-- name: notify(channels) -> rows
-- Send a notification on each channel. It need not survive a crash of the server, so its commit waits for no disk.
select set_config('synchronous_commit', 'off', true), pg_notify(channel, '') from unnest($1::text[]) as channel;

-- name: analyze() -> none
-- Analyze the tables of facts and views that have doubled since they were last analyzed: Postgres chooses bad plans by the statistics of
-- empty tables until autovacuum analyzes them, as it does when they have grown by a tenth. A partition counts for its table. Of the
-- columns, those of an index: no plan depends on others, and to compare documents takes most of the time.
do $$
declare
  name text;
  columns text;
begin
  for name, columns in
    select root.relname,
           (select string_agg(distinct quote_ident(a.attname), ', ')
              from pg_index i
              join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
             where i.indrelid = root.oid)
      from pg_class root
      left join pg_inherits part on part.inhparent = root.oid
      join pg_class leaf on leaf.oid = coalesce(part.inhrelid, root.oid)
     where root.relnamespace = 'gateway'::regnamespace
       and root.relname in ('identity', 'graph', 'tie', 'record', 'fragment', 'profile', 'event', 'change')
     group by root.oid, root.relname
    having sum(pg_relation_size(leaf.oid)) > 2 * sum(greatest(leaf.relpages, 0)) * current_setting('block_size')::bigint
     order by root.relname
  loop
    execute format('analyze gateway.%I (%s)', name, columns);
  end loop;
end $$;
