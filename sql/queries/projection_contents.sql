-- Contents of projections: what changes the part of every person that edges hold.

-- name: list_projected(sandbox_id) -> rows
-- What each configuration of the sandbox selects, by its name, and where it goes. Walks projection_configuration_name_key.
select configuration_id, name, destination_id, paths
  from gateway.projection_configuration
 where sandbox_id = $1
 order by name;

-- name: renew(sandbox_id, configuration_ids) -> none
-- Notes that what these configurations give edges changes with the version that the sandbox's configuration has by now. Walks
-- projection_configuration_pkey.
update gateway.projection_configuration
   set content_version = (select config_version from gateway.sandbox where sandbox_id = $1)
 where sandbox_id = $1 and configuration_id = any($2::uuid[]);
