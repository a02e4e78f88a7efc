-- The data centre of an edge, and who may deliver to it.

-- name: name_center(code) -> value
-- Name the data centre of a new store, and return the name that the store has.
with named as (
  insert into edge.data_center (code) values ($1) on conflict do nothing returning code
)
select code from named
union all
select code from edge.data_center
 limit 1;

-- name: lock_center(idle) -> row
-- Lock the one row of the data centre against other deliveries, and read it with the version of the schema. The server ends a delivery whose
-- hub is not heard for so long, as `60s`: else the lock of one that has vanished would hold all others up.
select code, hub, fence, (select max(name) from edge.migration) as schema_version,
       set_config('idle_in_transaction_session_timeout', $1, true)
  from edge.data_center
   for update;

-- name: let_deliver(hub, fence) -> none
-- Note who delivers.
update edge.data_center
   set hub = $1, fence = $2;
