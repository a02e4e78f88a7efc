"""A scan for people who were erased: every column of every table is read for their values, and every key of facts and views for their xids.

`verify_erasure` follows the keys of an identity, and finds what they lead to. The scan does not trust them: it reads what is there, in one
snapshot, piece by piece, and tells where a value stands and how often, never the value.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.operations.erasure_verification import verify_erasure
from gateway.domain.reading.identities import known_namespace, resolve_xids
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.rules.traces import SoughtValues
from gateway.domain.work.stores import OF_FACTS_AND_VIEWS
from gateway.storage.database import Database, Session
from gateway.storage.distribution import LIST_SHARD_BLOCKS
from gateway.storage.distribution import READ_SAMPLES as READ_SAMPLES_OF_WORKERS
from gateway.storage.queries import query, template

LIST_TABLES = query("erasure_scan.list_tables")
READ_CELLS = template("erasure_scan.read_cells")
LIST_SAMPLED = query("erasure_scan.list_sampled")
READ_SAMPLES = query("erasure_scan.read_samples")

MAX_SOUGHT: Final = 100_000
"""How many identities one scan looks for."""

PIECE_CHARACTERS: Final = 4_000_000
"""About how much text one statement reads; the first one of a table reads one block."""

KEYS_ALLOWED: Final = frozenset({"identity", "change"})
"""Where the xid of an erased person may stand: the tombstone, and what the journal says of the erasure."""


SAMPLES: Final = "pg_stats"
"""The name of the table of what Postgres notes of columns for its plans: samples of their values."""


class GivenIdentity(NamedTuple):
    """An identity as a list of erased ones names it."""

    namespace: str
    value: str


class Place(NamedTuple):
    """Where something was found: a column of a table."""

    table: str
    column: str


@dataclass(slots=True)
class ErasureScan:
    """What a scan looked for and found.

    `not_erased`: how many of the identities have no tombstone. `used_again`: how many are devices that are in use again, whose values may stand
    anywhere; the others are `values`. `traces`: of how many identities each store holds something from before they were erased, by `verify_erasure`.
    `found`: in how many rows each column holds a value, or a key that should be gone. `rows`: how many were read.
    """

    identities: int
    not_erased: int = 0
    used_again: int = 0
    values: SoughtValues = field(default_factory=lambda: SoughtValues(()), repr=False)
    traces: Counter[str] = field(default_factory=Counter)
    found: Counter[Place] = field(default_factory=Counter)
    rows: int = 0


async def scan_for_erased(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    identities: Sequence[GivenIdentity],
    progress: Callable[[int, int], None] = lambda *_: None,
) -> ErasureScan:
    """Look for identities that were erased in every table, as far as it is the sandbox's own or of no sandbox, and in Postgres' statistics.

    Nothing is written. `progress` is called with how many blocks were read, and of how many. Values of columns of numbers, times and truth are left out. Needs `admin`. Raises
    Forbidden, and BadInput for an identity that cannot be one.
    """
    scope.require(Permission.ADMIN)
    async with configurations.snapshot(db, scope) as (tx, config):
        scan = ErasureScan(len(identities))
        keys = await _seek(tx, scope, config, identities, scan)
        tables: Sequence[Any] = await tx.rows(LIST_TABLES)
        spread = dict(map(tuple, await tx.rows(LIST_SHARD_BLOCKS))) if tx.is_distributed else {}
        blocks: list[int] = [spread.get(table["name"], table["blocks"]) for table in tables]
        done, total = 0, sum(blocks)
        for table, end in zip(tables, blocks, strict=True):
            reading = _Reading(tx, scope, table, keys, scan)
            while reading.block < end:
                await reading.go_on()
                progress(done + min(reading.block, end), total)
            done += end
        await _read_samples(tx, scan)
        return scan


async def _read_samples(tx: Session, scan: ErasureScan) -> None:
    """Look for the values in what Postgres notes of columns, table by table. Keys are passed over: a tombstone has them, too."""
    for table in await tx.rows(LIST_SAMPLED):
        for row in await tx.rows(READ_SAMPLES, table["schema"], table["name"]):
            found = Place(SAMPLES, f"{table['name']}.{row['column']}")
            scan.found[found] += scan.values.are_in(row["cell"])
            scan.rows += 1
    for row in await tx.rows(READ_SAMPLES_OF_WORKERS) if tx.is_distributed else ():
        scan.found[Place(SAMPLES, row["column"])] += scan.values.are_in(row["cell"])
        scan.rows += 1


async def _seek(
    tx: Session, scope: Scope, config: Configuration, identities: Sequence[GivenIdentity], scan: ErasureScan
) -> SoughtValues:
    """Note in the scan what keys lead to, and which values to look for: as they were given, and as they are stored. Return the xids to look for."""
    values, keys = list[str](), list[str]()
    for given, xid in zip(identities, resolve_xids(scope, config, identities), strict=True):
        check = await verify_erasure(tx, scope, xid)
        scan.traces.update(check.traces)
        scan.not_erased += check.erased_at is None
        scan.used_again += check.is_used_again
        if not check.is_used_again:
            keys.append(str(xid))
            values += [given.value, *known_namespace(config, given.namespace).normalized(scope.sandbox, [given.value])]
    scan.values = SoughtValues(values)
    return SoughtValues(keys)


class _Reading:
    """The reading of one table, block by block."""

    def __init__(self, tx: Session, scope: Scope, table: Any, keys: SoughtValues, scan: ErasureScan) -> None:
        self._tx, self._scope, self._table, self._scan = tx, scope, table, scan
        has_keys = table["store"] in OF_FACTS_AND_VIEWS and table["store"] not in KEYS_ALLOWED
        of_keys = keys if has_keys else SoughtValues(())
        self._sought = [of_keys if is_key else scan.values for is_key in table["are_keys"]]
        self._statement = READ_CELLS.filled(
            cells=", ".join(table["cells"]),
            table=table["name"],
            sandbox="sandbox_id" if table["is_of_sandbox"] else "$1::bigint",
        )
        self.block, self._size = 0, 1

    async def go_on(self) -> None:
        """Read the next blocks, and note in which columns something stands."""
        end, characters = self.block + self._size, 0
        rows = await self._tx.rows(self._statement, self._scope.sandbox_id, self.block, end)
        for row in rows:
            for column, sought, cell in zip(self._table["columns"], self._sought, row, strict=True):
                if cell is not None:
                    text = _text(cell)
                    characters += len(text)
                    self._scan.found[Place(self._table["store"], column)] += sought.are_in(text)
        self._scan.rows += len(rows)
        self.block = end
        self._size = max(1, min(self._size * 4, self._size * PIECE_CHARACTERS // max(characters, 1)))


def _text(cell: Any) -> str:
    """Return the text of a cell; of bytes, and of arrays of them, as far as they are UTF-8."""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    return cell if isinstance(cell, str) else "\n".join(map(_text, filter(None, cell)))
