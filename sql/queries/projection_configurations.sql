-- Configurations of projections: which part of every person edges hold.

-- name: list_configurations(sandbox_id) -> rows
-- All configurations of the sandbox by name. Walks projection_configuration_name_key.
select configuration_id, name, destination_id, selector, event_selector, event_last, event_within, event_where, paths, content_version, version,
       created_at, updated_at, created_by
  from gateway.projection_configuration
 where sandbox_id = $1
 order by name;

-- name: create_configuration(sandbox_id, configuration_id, name, destination_id, selector, event_selector, event_last, event_within, event_where, paths, created_by) -> none
-- Creates a configuration, which has no content version yet. Walks projection_configuration_name_key.
insert into gateway.projection_configuration (sandbox_id, configuration_id, name, destination_id, selector, event_selector, event_last,
                                              event_within, event_where, paths, content_version, created_by, created_at, updated_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, stamp, stamp
  from gateway.now() as stamp;

-- name: update_configuration(sandbox_id, configuration_id, name, destination_id, selector, event_selector, event_last, event_within, event_where, paths) -> none
-- Changes a configuration; its version grows by one. Walks projection_configuration_pkey.
update gateway.projection_configuration
   set name = $3, destination_id = $4, selector = $5, event_selector = $6, event_last = $7, event_within = $8, event_where = $9, paths = $10,
       version = version + 1, updated_at = gateway.now()
 where sandbox_id = $1 and configuration_id = $2;

-- name: delete_configuration(sandbox_id, configuration_id) -> none
-- Deletes a configuration. Walks projection_configuration_pkey.
delete from gateway.projection_configuration
 where sandbox_id = $1 and configuration_id = $2;
