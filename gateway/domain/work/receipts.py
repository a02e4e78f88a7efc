"""Receipts of deletions: what a job removed from each store, counted. A receipt names nobody, and is kept for good with its job."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DeletionReceipt:
    """How many things of each kind went. `events` counts resends, too; `profiles` counts people who vanished.

    `export_locations`: the URLs outside the directory of exports at which these files, or what was begun of others, were. `unconfirmed_data_centers`: the
    data centres whose edges were delivered to no longer before they had confirmed it.
    """

    record_versions: int = 0
    events: int = 0
    ties: int = 0
    identities: int = 0
    profiles: int = 0
    computed_values: int = 0
    projections: int = 0
    errors: int = 0
    redacted_mentions: int = 0
    export_files: int = 0
    export_locations: tuple[str, ...] = ()
    unconfirmed_data_centers: tuple[str, ...] = ()

    def __add__(self, other: "DeletionReceipt") -> "DeletionReceipt":
        """Return the receipt of both."""
        others = asdict(other)
        return DeletionReceipt(**{name: _both(counted, others[name]) for name, counted in asdict(self).items()})


def _both(one: Any, other: Any) -> Any:
    """Return the sum of numbers, and names that either has, each once."""
    return tuple(sorted({*one, *other})) if isinstance(one, tuple) else one + other


def receipt_of(stored: Any) -> DeletionReceipt | None:
    """Return the receipt that the JSON value of a job holds, None for a job that deletes nothing."""
    if stored is None:
        return None
    kept: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in stored.items()}
    return DeletionReceipt(**kept)
