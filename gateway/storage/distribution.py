"""Tables on a Citus cluster: facts and views are spread over its nodes, everything else stays on the coordinator.

A table is spread by the identity or the person that its rows are about, and all alike, so that rows of equal keys lie on one node. The others are
small, or written by every call: as tables of the coordinator alone they are read and changed as on one machine, also while a worker is away.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from gateway.storage.queries import Query

FIRST: Final = "identity"
KEYS: Final = {
    FIRST: "xid",
    **dict.fromkeys(("tie", "record", "fragment", "event", "event_resend", "computed_partial"), "xid"),
    **dict.fromkeys(("graph", "profile", "kept_value"), "profile_id"),
}
"""The tables that are spread, and the column of each by which: rows of the others lie where those of FIRST with this key would."""
AMONG: Final = {False: "", True: " and xid = any($2::uuid[])"}
"""What a statement about the xids `$2` says of each table that it looks into row by row, by whether the store is spread: without it a cluster would ask all
nodes. One Postgres would look through the xids once more for each row.
"""

IS_UNSETTLED: Final = Query(
    "distribution.is_unsettled",
    """
    select exists (
      select from run_command_on_workers($$select string_agg(split_part(gid, '_', 4), ' ') from pg_prepared_xacts
                                            where database = current_database() and gid like 'citus\\_%'$$) as node
       cross join string_to_table(case when success then nullif(result, '') end, ' ') as transaction
       where transaction::bigint not in (select transaction_number from get_all_active_transactions())
    )
    """,
    (),
    (),
    "value",
    "Whether a worker holds a prepared transaction that has ended on the coordinator, so that Citus is yet to tell it how.",
)
LIST_SHARD_BLOCKS: Final = Query(
    "distribution.list_shard_blocks",
    "select table_name::text as name, max(shard_size) / current_setting('block_size')::bigint as blocks from citus_shards group by table_name",
    (),
    (),
    "rows",
    "How many blocks the largest shard of each table has at most.",
)
READ_SAMPLES: Final = Query(
    "distribution.read_samples",
    """
    select regexp_replace(sample ->> 0, '_[0-9]+$', '') || '.' || (sample ->> 1) as column, sample ->> 2 as cell
      from run_command_on_workers($$select coalesce(json_agg(json_build_array(tablename, attname,
                                             json_build_array(most_common_vals::text::text[], histogram_bounds::text::text[], most_common_elems::text::text[])::text)), '[]')
                                      from pg_stats
                                     where schemaname <> 'information_schema' and schemaname !~ '^pg_'$$) as node
     cross join json_array_elements(node.result::json) as sample
    """,
    (),
    (),
    "rows",
    "The samples of columns that the Postgres of each worker keeps for its plans, as text.",
)
_IS_CLUSTER: Final = "select exists (select from pg_extension where extname = 'citus')"
_SPREAD: Final = "select relname::text from pg_dist_partition join pg_class c on c.oid = logicalrelid where relnamespace = to_regnamespace('gateway')"
_SPREAD_ONE: Final = "select create_distributed_table($1::text::regclass, $2, colocate_with => $3)"
_NODES: Final = """
  select nodename || ':' || nodeport, groupid > 0 and shouldhaveshards, isactive, case when success then result::integer end
    from pg_dist_node
    left join run_command_on_all_nodes('show max_prepared_transactions', true, true) as told using (nodeid)
   where noderole = 'primary'
   order by groupid
"""
_SHARDS: Final = """
  select coalesce(max(shards), 0), coalesce(array_agg(relname::text order by relname) filter (where not is_named), '{}')
    from (select c.relname,
                 (select count(*) from pg_dist_shard as s where s.logicalrelid = c.oid) as shards,
                 c.relreplident = 'f' or exists (select from pg_index as i where i.indrelid = c.oid and i.indisprimary) as is_named
            from pg_dist_partition join pg_class as c on c.oid = logicalrelid
           where c.relnamespace = to_regnamespace('gateway') and partmethod = 'h') as spread
"""

_NODES_AWAY: Final = Query(
    "distribution.nodes_away",
    """
  select groupid
    from pg_dist_node
   where noderole = 'primary' and groupid > 0 and not citus_check_connection_to_node(nodename, nodeport)
""",
    (),
    (),
    "rows",
    "The workers to which the coordinator can open no connection.",
)
_KEYS_ON: Final = Query(
    "distribution.keys_on",
    """
  select key
    from unnest($2::uuid[]) as key
    join pg_dist_placement on shardid = get_shard_id_for_distribution_column('gateway.identity', key)
   where groupid = any($1::integer[])
""",
    ("nodes", "keys"),
    (),
    "rows",
    "The keys whose rows lie on some nodes, in any table that is spread.",
)


async def missing(connection: Any) -> list[str]:
    """Return the tables that are to be spread and are not yet, in order; none on one Postgres."""
    if not await connection.fetchval(_IS_CLUSTER):
        return []
    spread = {row["relname"] for row in await connection.fetch(_SPREAD)}
    return [table for table in KEYS if table not in spread]


async def spread(connection: Any, table: str) -> None:
    """Spread a table with the rows that it has. Nobody reads or writes it until the transaction ends."""
    beside = "none" if table == FIRST else f"gateway.{FIRST}"
    await connection.execute(_SPREAD_ONE, f"gateway.{table}", KEYS[table], beside)


async def nodes_away(db: Any) -> list[int]:
    """Return the workers of a cluster that do not answer its coordinator. Raises Unavailable, Timeout where it does not answer, either."""
    return [row["groupid"] for row in await db.rows(_NODES_AWAY)]


async def keys_on(db: Any, nodes: Collection[int], keys: Collection[UUID]) -> set[UUID]:
    """Return which of these identities or people lie on one of the nodes of a cluster. Raises Unavailable, Timeout."""
    return {row["key"] for row in await db.rows(_KEYS_ON, list(nodes), list(keys))}


class Node(NamedTuple):
    """A server of a cluster, by its address. `prepared`: how many transactions over several nodes it has room for; None where it does not answer."""

    address: str
    is_worker: bool
    is_active: bool
    prepared: int | None


@dataclass(frozen=True, slots=True)
class Spreading:
    """How a cluster holds the store: its release, its nodes, into how many shards each table is cut, which tables are not spread yet.

    `unnamed`: tables whose rows have no replica identity, so that no shard of theirs can be moved while writers write.
    """

    release: str
    nodes: tuple[Node, ...]
    shards: int
    missing: tuple[str, ...]
    unnamed: tuple[str, ...]


async def read_spreading(connection: Any) -> Spreading | None:
    """Read how the store is spread; None on one Postgres. All nodes are asked."""
    if not await connection.fetchval(_IS_CLUSTER):
        return None
    nodes = [Node(*row) for row in await connection.fetch(_NODES)]
    shards, unnamed = await connection.fetchrow(_SHARDS)
    release = await connection.fetchval("select extversion from pg_extension where extname = 'citus'")
    return Spreading(release, tuple(nodes), shards, tuple(await missing(connection)), tuple(unnamed))
