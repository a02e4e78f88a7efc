-- What was done to the schema.

-- name: list_migrations() -> rows
-- Every migration that the database has seen; there are few.
select name
  from gateway.migration;
