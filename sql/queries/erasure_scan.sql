-- Everything that is stored, as text, for a scan that trusts no key.

-- name: list_tables() -> rows
-- List every table outside of the catalogue, a partition each for itself, with its blocks and the columns that can hold text or keys: for each, how
-- it is read: bytes as they are, the rest as text. `store` is the table, for a partition the one that it is a part of. Reads the catalogue.
select c.oid::regclass::text as name, coalesce(p.relname, c.relname)::text as store,
       (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::bigint as blocks,
       bool_or(a.attname = 'sandbox_id') as is_of_sandbox,
       array_agg(a.attname::text order by a.attnum) filter (where t.is_read) as columns,
       array_agg(t.is_key order by a.attnum) filter (where t.is_read) as are_keys,
       array_agg(case when t.type in ('bytea', '_bytea') then format('%I', a.attname)
                      when t.is_array then format('array_to_json(%I)::text', a.attname)
                      else format('%I::text', a.attname) end
                 order by a.attnum) filter (where t.is_read) as cells
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 cross join lateral (
       select y.typname::text as type, y.typcategory = 'A' as is_array,
              coalesce(e.typname, y.typname) = 'uuid' as is_key,
              coalesce(e.typcategory, y.typcategory) not in ('N', 'B', 'D', 'T') and coalesce(e.typname, y.typname) <> 'xid8' as is_read
         from pg_type as y
         left join pg_type as e on e.oid = y.typelem and y.typcategory = 'A'
        where y.oid = a.atttypid) as t
  left join pg_inherits as h on h.inhrelid = c.oid
  left join pg_class as p on p.oid = h.inhparent
 where c.relkind in ('r', 'm') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
 group by c.oid, p.relname
having bool_or(t.is_read)
 order by c.oid;

-- name: read_cells(sandbox_id, block, end) -> rows
-- Read the cells of a table from this block on and before another one, as text; on a cluster, of each of its shards. Walks the blocks.
select {cells}
  from {table}
 where {sandbox} = $1 and ctid >= format('(%s,0)', $2::bigint)::tid and ctid < format('(%s,0)', $3::bigint)::tid;

-- name: list_sampled() -> rows
-- List the tables outside of the catalogue of whose columns or expressions Postgres keeps samples for its plans. Reads the catalogue.
select distinct schemaname as schema, tablename as name from pg_stats where schemaname <> 'information_schema' and schemaname !~ '^pg_'
 union
select distinct schemaname, tablename from pg_stats_ext where schemaname <> 'information_schema' and schemaname !~ '^pg_';

-- name: read_samples(schema, name) -> rows
-- Read the samples of a table's columns, and of what its extended statistics are about, as text. Reads the catalogue.
select attname::text as column, json_build_array(most_common_vals::text::text[], histogram_bounds::text::text[], most_common_elems::text::text[])::text as cell
  from pg_stats
 where schemaname = $1 and tablename = $2
 union all
select statistics_name::text, json_build_array(most_common_vals)::text
  from pg_stats_ext
 where schemaname = $1 and tablename = $2 and most_common_vals is not null
 union all
select statistics_name::text, json_build_array(most_common_vals::text::text[], histogram_bounds::text::text[], most_common_elems::text::text[])::text
  from pg_stats_ext_exprs
 where schemaname = $1 and tablename = $2;
