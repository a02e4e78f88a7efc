"""What the households of The Complete Journey spent, counted by pyarrow from the file itself: nothing of the gateway takes part."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet


def spent(transactions: Path, *, newest: int | None = None) -> dict[int, int]:
    """Return how many cents each household paid for all of its baskets, or for so many of its newest, by its number."""
    lines = parquet.read_table(transactions, columns=["household_id", "basket_id", "sales_value"])
    cents = pc.cast(pc.round(pc.multiply(lines["sales_value"], 100)), pa.int64())
    lines = lines.append_column("cents", cents).append_column("place", pa.array(range(lines.num_rows)))
    baskets = lines.group_by(["household_id", "basket_id"]).aggregate([("cents", "sum"), ("place", "min")])
    found = defaultdict[int, list[int]](list)
    rows: Any = baskets.sort_by([("place_min", "descending")]).select(["household_id", "cents_sum"])
    for household, paid in zip(*(column.to_pylist() for column in rows), strict=True):
        found[household].append(paid)
    return {household: sum(paid[:newest]) for household, paid in found.items()}
