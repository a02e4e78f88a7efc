-- Destinations of projections: data centres, and how what they hold is kept up.

-- name: list_destinations(sandbox_id) -> rows
-- All destinations of the sandbox, oldest first. Walks projection_destination_pkey.
select destination_id, data_centers, ttl, replication_policy, version, created_at, updated_at, created_by
  from gateway.projection_destination
 where sandbox_id = $1
 order by created_at, destination_id;

-- name: create_destination(sandbox_id, destination_id, data_centers, ttl, replication_policy, created_by) -> none
-- Creates a destination. Walks projection_destination_pkey.
insert into gateway.projection_destination (sandbox_id, destination_id, data_centers, ttl, replication_policy, created_by, created_at, updated_at)
select $1, $2, $3, $4, $5, $6, stamp, stamp
  from gateway.now() as stamp;

-- name: update_destination(sandbox_id, destination_id, data_centers, ttl, replication_policy) -> none
-- Changes a destination; its version grows by one. Walks projection_destination_pkey.
update gateway.projection_destination
   set data_centers = $3, ttl = $4, replication_policy = $5, version = version + 1, updated_at = gateway.now()
 where sandbox_id = $1 and destination_id = $2;

-- name: delete_destination(sandbox_id, destination_id) -> none
-- Deletes a destination. Walks projection_destination_pkey.
delete from gateway.projection_destination
 where sandbox_id = $1 and destination_id = $2;
