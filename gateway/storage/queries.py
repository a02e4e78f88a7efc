"""The named statements of `sql/queries/`, and of `sql/edge/queries/` for the store of an edge: a misspelt name fails at import, a stale
statement in one test that prepares them all.

A block is a header, a sentence or two about what comes back and which index it walks, and one statement:

    -- name: read_graphs(sandbox_id, profile_ids) -> rows
    -- The people with these ids, existing ones only. Walks graph_pkey.
    select ...

The parameters are `$1`, `$2` … in the order of the header. A statement that takes many rows writes `{rows}` where its VALUES list
goes and declares the row after a bar: `relink(sandbox_id | xid uuid, profile_id uuid) -> none`. Other words in braces stand for SQL that
depends on the request: such a statement is a template, and nothing runs it before it is filled in. A list that is read page by page, in any
order and direction, writes `{between}` after its conditions and `order by {order}` before its limit.

What several statements share, or only some of their forms have, is a part, which code fills in:

    -- part: graph
    -- The members of a person.
    left join gateway.graph ...
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from gateway.runtime.cache import WeightedCache

Shape = Literal["rows", "row", "value", "none"]

HERE = Path(__file__).resolve().parents[1]
MAX_CACHED_SQL_CHARACTERS = 8_000_000
"""Of statements with their parts filled in."""

SQL = HERE / "sql" if (HERE / "sql").is_dir() else HERE.parent / "sql"  # inside the wheel, else beside the package


@dataclass(frozen=True, slots=True)
class SqlFolder:
    """A schema of Postgres, and the folder with its SQL: the schema itself in `schema/`, with `migrations/` to it, and its `queries/`.

    `oldest` is a table and a column that the oldest database has which migrations can bring further; `command` runs them.
    """

    schema: str
    path: Path
    oldest: tuple[str, str]
    command: str


GATEWAY = SqlFolder("gateway", SQL, ("identity", "rung"), "gateway migrate")
EDGE = SqlFolder("edge", SQL / "edge", ("data_center", "code"), "gateway edge")

_BLOCK = re.compile(
    r"^-- name: (?P<name>\w+)\((?P<parameters>[^)]*)\) -> (?P<shape>rows|row|value|none)\n"
    r"(?P<doc>(?:-- .*\n)+)"
    r"(?P<sql>(?:(?!-- (?:name|part): ).*\n)+)",
    re.MULTILINE,
)
_PART_BLOCK = re.compile(r"^-- part: (?P<name>\w+)\n(?:-- .*\n)+(?P<sql>(?:(?!-- (?:name|part): ).*\n)+)", re.MULTILINE)

_GAP = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Statement:
    """One named statement. `columns` are those of the rows that it takes, empty if it takes none."""

    name: str
    sql: str
    parameters: tuple[str, ...]
    columns: tuple[str, ...]
    shape: Shape
    doc: str

    def filled(self, **parts: str) -> "Query":
        """Return the statement with SQL in place of each word in braces. Equal parts give equal SQL, which is prepared once."""
        key = (self.name, *parts.items())
        filled = _filled.get(key)
        if filled is None:
            sql = fill(self.sql, **parts)
            filled = Query(self.name, sql, self.parameters, self.columns, self.shape, self.doc)
            _filled.put(key, filled, len(sql))
        return filled


class Query(Statement):
    """A statement that can run."""

    @cache  # noqa: B019 (queries live as long as the process)
    def with_rows(self, count: int) -> str:
        """Return the statement's SQL for so many rows. The first row carries the types; Postgres infers those of the others."""
        first, width = len(self.parameters) + 1, len(self.columns)
        types = [column.split(" ", 1)[1] for column in self.columns]
        head = ", ".join(f"${first + i}::{kind}" for i, kind in enumerate(types))
        rest = (
            ", ".join(f"${first + row * width + i}" for i in range(width))
            for row in range(1, count)
        )  # fmt: skip
        return self.sql.replace("{rows}", ", ".join(f"({values})" for values in (head, *rest)))


class Template(Statement):
    """A statement with words in braces, which cannot run before SQL stands in their place."""

    def page(
        self,
        columns: Sequence[str],
        after: Sequence[Any] | None,
        before: Sequence[Any] | None,
        *,
        descending: bool,
        **parts: str,
    ) -> tuple[Query, Sequence[Any]]:
        """Return the statement that reads a list from one of its keys to another, and the values to give it after its own parameters.

        The list is ordered by the columns; `after` and `before` are values of them, None for an end of the list. `{between}` becomes the
        conditions that the first columns' index serves, `{order}` the columns with their direction; `parts` go in place of other words in braces.
        """
        between, values = "", list[Any]()
        for key, sign in ((after, "<" if descending else ">"), (before, ">" if descending else "<")):
            if key is not None:
                start = len(self.parameters) + len(values) + 1
                places = ", ".join(f"${start + place}" for place in range(len(key)))
                between += f" and ({', '.join(columns)}) {sign} ({places})"
                values += key
        direction = "desc" if descending else "asc"
        order = ", ".join(f"{column} {direction}" for column in columns)
        return self.filled(between=between, order=order, **parts), values


_filled: WeightedCache[tuple[Any, ...], Query] = WeightedCache(MAX_CACHED_SQL_CHARACTERS)


def query(name: str, folder: SqlFolder = GATEWAY) -> Query:
    """Return the statement called `noun.verb`. Raises KeyError for a name that no file has, TypeError for a statement that is to be filled in."""
    found = _statement(name, folder)
    if not isinstance(found, Query):
        raise TypeError(f"The statement {name} has words in braces: it is a template.")
    return found


def template(name: str, folder: SqlFolder = GATEWAY) -> Template:
    """Return the statement called `noun.verb` that is to be filled in. Raises KeyError for a name that no file has, TypeError for one without gaps."""
    found = _statement(name, folder)
    if not isinstance(found, Template):
        raise TypeError(f"The statement {name} has no words in braces: it is a query.")
    return found


def part(name: str, folder: SqlFolder = GATEWAY) -> str:
    """Return the SQL of the part called `noun.name`. Raises KeyError for a name that no file has."""
    noun, _, own = name.partition(".")
    return _parts(folder, noun)[own]


def fill(sql: str, **parts: str) -> str:
    """Return SQL with other SQL in place of each word in braces."""
    return _GAP.sub(lambda gap: parts[gap[1]], sql)


def all_queries(folder: SqlFolder = GATEWAY) -> list[Statement]:
    """Return every statement of every file, for the test that prepares them."""
    return [q for path in sorted((folder.path / "queries").glob("*.sql")) for q in _file(folder, path.stem).values()]


@cache
def _parts(folder: SqlFolder, noun: str) -> dict[str, str]:
    return {block["name"]: block["sql"].strip() for block in _PART_BLOCK.finditer(_text(folder, noun))}


def _statement(name: str, folder: SqlFolder) -> Statement:
    noun, verb = name.split(".")
    return _file(folder, noun)[verb]


@cache
def _file(folder: SqlFolder, noun: str) -> dict[str, Statement]:
    text = _text(folder, noun)
    prefix = noun if folder is GATEWAY else f"{folder.schema}.{noun}"
    blocks = {block["name"]: _parse(prefix, block) for block in _BLOCK.finditer(text)}
    if len(blocks) != text.count("-- name: "):
        raise ValueError(
            f"{noun}.sql of the schema {folder.schema} has a block without a proper header, or two of one name"
        )
    return blocks


def _text(folder: SqlFolder, noun: str) -> str:
    return (folder.path / "queries" / f"{noun}.sql").read_text(encoding="utf-8")


def _parse(prefix: str, block: re.Match[str]) -> Statement:
    parameters, _, columns = block["parameters"].partition("|")
    shape: Shape = block["shape"]  # type: ignore[assignment]  # the expression admits no other word
    kind = Template if set(_GAP.findall(block["sql"])) - {"rows"} else Query
    return kind(
        name=f"{prefix}.{block['name']}",
        sql=block["sql"].strip().removesuffix(";"),
        parameters=_words(parameters),
        columns=_words(columns),
        shape=shape,
        doc=" ".join(line.removeprefix("-- ") for line in block["doc"].splitlines()),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
