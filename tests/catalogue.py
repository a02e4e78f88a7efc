"""The schema of a database as one value that can be compared. The order of columns is left out: migrations add them at the end."""

from typing import Any

PARTS = {
    "relations": """
        select c.relname, c.relkind::text, c.relpersistence::text, c.reloptions, pg_get_partkeydef(c.oid) as partition_key,
               pg_get_expr(c.relpartbound, c.oid) as bound, p.relname as parent, c.relrowsecurity
          from pg_class c left join pg_inherits i on i.inhrelid = c.oid left join pg_class p on p.oid = i.inhparent
         where c.relnamespace = $1::text::regnamespace and c.relkind not in ('i', 'I')
    """,
    "columns": """
        select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull, a.attidentity::text,
               a.attgenerated::text, a.attstorage::text, a.attcompression::text, a.attcollation::regcollation::text,
               pg_get_expr(d.adbin, d.adrelid) as default
          from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
         where c.relnamespace = $1::text::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
    """,
    "constraints": """
        select conrelid::regclass::text as relation, conname, contype::text, convalidated, pg_get_constraintdef(oid) as definition
          from pg_constraint where connamespace = $1::text::regnamespace and contype <> 'n'   -- not null is told with the columns
    """,
    "indexes": """
        select c.relname, pg_get_indexdef(c.oid) as definition, x.indisvalid
          from pg_class c join pg_index x on x.indexrelid = c.oid where c.relnamespace = $1::text::regnamespace
    """,
    "functions": """
        select oid::regprocedure::text as function, pg_get_functiondef(oid) as definition
          from pg_proc where pronamespace = $1::text::regnamespace
    """,
    "triggers": """
        select tgrelid::regclass::text as relation, tgname, pg_get_triggerdef(oid) as definition from pg_trigger
         where not tgisinternal
    """,
    "sequences": """
        select sequencename, data_type::text, start_value, min_value, max_value, increment_by, cycle, cache_size
          from pg_sequences where schemaname = $1
    """,
    "types": """
        select typname, typtype::text, array(select enumlabel::text from pg_enum where enumtypid = t.oid order by enumsortorder)
          from pg_type t where typnamespace = $1::text::regnamespace and typtype in ('e', 'd', 'r', 'm')
    """,
    "schemas": "select nspname from pg_namespace where nspname !~ '^pg_(temp|toast)'",
    "extensions": "select extname from pg_extension",
}


async def read_catalogue(connection: Any, schema: str = "gateway") -> dict[str, set[tuple[Any, ...]]]:
    """Every part of a schema, by kind: relations, columns, constraints and so on."""
    return {
        part: {
            tuple(tuple(one) if isinstance(one, list) else one for one in row)
            for row in await connection.fetch(sql, *([schema] if "$1" in sql else []))
        }
        for part, sql in PARTS.items()
    }
