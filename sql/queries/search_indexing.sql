-- Making and dropping the indexes of Postgres that serve searches, each by a statement of its own outside any transaction: they wait for
-- transactions that are open, and hold up no writer. One connection does so at a time in the database: two would wait for each other.

-- name: take_turn() -> value
-- True if no other connection makes or drops indexes now; none does until this one ends, or gives that up.
select pg_try_advisory_lock(74024, 0);

-- name: end_turn() -> value
-- Let others make and drop indexes.
select pg_advisory_unlock(74024, 0);

-- name: find_old_transaction(seconds) -> value
-- Since when the oldest transaction of a client has been open, if that is longer than so many seconds.
select min(xact_start)
  from pg_stat_activity
 where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
   and xact_start < clock_timestamp() - make_interval(secs => $1);

-- name: is_made(name) -> value
-- Whether an index is there as a job leaves it: null if not, false if its making was interrupted, before Postgres was told to keep no statistics
-- of its expression at the latest.
select x.indisvalid and (x.indkey[0] <> 0 or coalesce(a.attstattarget, -1) = 0)
  from pg_index x
  join pg_attribute a on a.attrelid = x.indexrelid and a.attnum = 1
 where x.indexrelid = to_regclass('gateway.' || $1);

-- name: create_index() -> none
-- Make an index of a table for the rows of one sandbox that have the leaf.
create index concurrently if not exists {name} on {table} ({indexed}) where {of};

-- name: forget_statistics() -> none
-- Let Postgres keep no values of an index in its statistics: they would outlive the erasing of a person.
alter index gateway.{name} alter column 1 set statistics 0;

-- name: drop_index() -> none
-- Drop an index, if it is there.
drop index concurrently if exists gateway.{name};

-- name: list_stray(sandbox_id) -> rows
-- The indexes for searches of the sandbox that are in no list; with the oldest sandbox those of sandboxes that are gone. Walks
-- pg_class_relname_nsp_index; all of pg_class for the oldest sandbox alone.
select c.relname as name
  from pg_class c
 where c.relnamespace = 'gateway'::regnamespace and c.relkind = 'i'
   and c.relname > ('search_' || $1::bigint || '_')::name and c.relname < ('search_' || $1 || '_g')::name
   and not exists (select from gateway.search_index s
                    where s.sandbox_id = $1 and c.relname = 'search_' || $1 || '_' || replace(s.index_id::text, '-', ''))
 union all
select c.relname
  from pg_class c
 where $1 = (select min(sandbox_id) from gateway.sandbox)
   and c.relnamespace = 'gateway'::regnamespace and c.relkind = 'i' and c.relname ~ '^search_\d+_[0-9a-f]+$'
   and not exists (select from gateway.sandbox s where s.sandbox_id::text = split_part(c.relname, '_', 2))
 order by 1;
