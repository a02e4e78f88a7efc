-- Migrations that were applied.

-- name: list_migrations() -> rows
-- List all migrations that the database has seen; there are few.
select name
  from gateway.migration;
