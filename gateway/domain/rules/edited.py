"""What people make and change: its version, its maker, and the times of making and of the last change.

A caller may name the version that it has read, so that it never overwrites a change that it has not seen.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.errors import Stale


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """The part that all such objects share. `version` is 1 at first and grows by one with every change.

    `created_by` is the actor of the scope that made the object; None for what came with the sandbox, and for what is older than this note.
    """

    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str | None


def edited_columns(row: Any) -> dict[str, Any]:
    """Return what a row holds of an Edited, by the names of its fields."""
    return {name: row[name] for name in Edited.__slots__}


def check_version(version: int, current_version: int | None) -> None:
    """Check the version that a caller has read against the one that there is now; None is always right. Raises Stale, which names both."""
    if current_version not in (None, version):
        raise Stale(
            f"It is at version {version} now, not at {current_version}: read it again.", path=["currentVersion"]
        )
