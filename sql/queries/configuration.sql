-- The configuration as a whole.

-- name: read_version(sandbox_id) -> value
-- The version of the sandbox's configuration; none once the sandbox is gone. Walks sandbox_pkey.
select config_version
  from gateway.sandbox
 where sandbox_id = $1;
