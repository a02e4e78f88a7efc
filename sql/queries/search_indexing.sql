-- Making and dropping the indexes of Postgres that serve searches, each by a statement of its own outside any transaction: they wait for
-- transactions that are open, and hold up no writer.

-- name: list_parts(table, prefix) -> rows
-- The partitions of a table in their order, and of each whether it has its part of an index with this prefix: null if not, false if its making
-- was interrupted, before Postgres was told to keep no statistics of its expression at the latest.
select c.relname as partition, row_number() over (order by c.relname) - 1 as place, i.is_made
  from pg_inherits h
  join pg_class c on c.oid = h.inhrelid
  left join lateral (
         select x.indisvalid and (x.indkey[0] <> 0 or coalesce(a.attstattarget, -1) = 0) as is_made
           from pg_index x
           join pg_class o on o.oid = x.indexrelid
           join pg_attribute a on a.attrelid = o.oid and a.attnum = 1
          where x.indrelid = c.oid and starts_with(o.relname, $2)) i on true
 where h.inhparent = $1::text::regclass
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

-- name: list_stray() -> rows
-- The indexes for searches, of all sandboxes, that are in no list: those of sandboxes and policies that were deleted, too.
select c.relname as name
  from pg_class c
 where c.relnamespace = 'gateway'::regnamespace and c.relkind = 'i' and c.relname ~ '^search_\d+_[0-9a-f]+_\d+$'
   and not exists (select from gateway.search_index s
                    where c.relname ~ ('^search_' || s.sandbox_id || '_' || replace(s.index_id::text, '-', '') || '_'))
 order by c.relname;
