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

-- name: list_parts(table, prefix) -> rows
-- The partitions of a table in their order, or itself where it has none, and of each whether it has its part of an index with this prefix: null if not, false if its making
-- was interrupted, before Postgres was told to keep no statistics of its expression at the latest.
select c.relname as partition, row_number() over (order by c.relname) - 1 as place, i.is_made
  from pg_class c
  left join lateral (
         select x.indisvalid and (x.indkey[0] <> 0 or coalesce(a.attstattarget, -1) = 0) as is_made
           from pg_index x
           join pg_class o on o.oid = x.indexrelid
           join pg_attribute a on a.attrelid = o.oid and a.attnum = 1
          where x.indrelid = c.oid and starts_with(o.relname, $2)) i on true
 where c.relkind = 'r' and (c.oid = $1::text::regclass or c.oid in (select inhrelid from pg_inherits where inhparent = $1::text::regclass))
 order by c.relname;

-- name: create_index() -> none
-- Make an index of one partition, for the rows of one sandbox that have the leaf.
create index concurrently if not exists {name} on gateway.{partition} ({indexed}) where {of};

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
                    where s.sandbox_id = $1 and starts_with(c.relname, 'search_' || $1 || '_' || replace(s.index_id::text, '-', '')))
 union all
select c.relname
  from pg_class c
 where $1 = (select min(sandbox_id) from gateway.sandbox)
   and c.relnamespace = 'gateway'::regnamespace and c.relkind = 'i' and c.relname ~ '^search_\d+_[0-9a-f]+_\d+$'
   and not exists (select from gateway.sandbox s where s.sandbox_id::text = split_part(c.relname, '_', 2))
 order by 1;
