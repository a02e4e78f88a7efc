-- What this Postgres is, and what its planner knows.

-- name: is_distributed() -> value
-- Whether tables may be spread over the nodes of a Citus cluster.
select exists (select 1 from pg_extension where extname = 'citus');

-- name: analyze() -> none
-- Counts the tables that a load fills: on the statistics of empty ones Postgres takes bad ways until it counts them by itself.
analyze gateway.identity, gateway.graph, gateway.tie, gateway.record, gateway.fragment, gateway.profile, gateway.event;
