-- What this Postgres is, and what its planner knows.

-- name: is_distributed() -> value
-- Whether tables may be spread over the nodes of a Citus cluster.
select exists (select 1 from pg_extension where extname = 'citus');

-- name: take_time() -> value
-- Until the transaction ends, statements may run as long as they have to: a large sandbox is not emptied in seconds.
select set_config('statement_timeout', '0', true);

-- name: analyze() -> none
-- Counts the tables of facts and views that have doubled since they were last counted: on the statistics of empty ones Postgres takes bad
-- ways until it counts them by itself, as it does with all that grow by a tenth. A partition counts for its table.
do $$
declare
  name text;
begin
  for name in
    select root.relname
      from pg_class root
      left join pg_inherits part on part.inhparent = root.oid
      join pg_class leaf on leaf.oid = coalesce(part.inhrelid, root.oid)
     where root.relnamespace = 'gateway'::regnamespace
       and root.relname in ('identity', 'graph', 'tie', 'record', 'fragment', 'profile', 'event')
     group by root.relname
    having sum(pg_relation_size(leaf.oid)) > 2 * sum(greatest(leaf.relpages, 0)) * current_setting('block_size')::bigint
     order by root.relname
  loop
    execute format('analyze gateway.%I', name);
  end loop;
end $$;
