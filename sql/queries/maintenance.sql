-- What the planner knows.

-- name: analyze() -> none
-- Counts the tables that a load fills: on the statistics of empty ones Postgres takes bad ways until it counts them by itself.
analyze gateway.identity, gateway.graph, gateway.tie, gateway.record, gateway.fragment, gateway.profile, gateway.event;
