-- Migrations that were applied to the store of an edge.

-- name: list_migrations() -> rows
-- List all migrations that the database has seen; there are few.
select name
  from edge.migration;
