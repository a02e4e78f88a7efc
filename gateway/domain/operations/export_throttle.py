"""Throttling of exports: they give way to ingestion.

Where others write while one works, and a page takes it clearly longer than the fastest one did, they share what the machine has: then it pauses eight times
as long as it worked. With nobody else, or with room for both, it goes on at once.
"""

import asyncio
from dataclasses import dataclass
from math import inf
from time import perf_counter
from typing import Final

from gateway.storage.database import Database
from gateway.storage.queries import query

COUNT_ARRIVALS = query("export_jobs.count_arrivals")

SLOW: Final = 1.25
"""Times the fastest page; less than that is chance."""
PAUSE: Final = 8.0
"""Times the page."""
MAX_PAUSE_SECONDS: Final = 1.0


@dataclass(slots=True)
class ThrottleRule:
    """Tells for how long to pause after each page of work; all pages are of about the same size."""

    fastest: float = inf
    arrivals: int | None = None

    def pause_after(self, seconds: float, arrivals: int) -> float:
        """Return for how many seconds to pause after a page that took so many. `arrivals`: how often something was ingested up to now, ever."""
        has_company = self.arrivals not in {None, arrivals}
        self.fastest, self.arrivals = min(self.fastest, seconds), arrivals
        return min(PAUSE * seconds, MAX_PAUSE_SECONDS) if has_company and seconds > SLOW * self.fastest else 0.0


class Throttle:
    """Pauses work after its pages, by what the clock and the store tell."""

    def __init__(self, db: Database) -> None:
        self._db, self._rule, self._began = db, ThrottleRule(), perf_counter()

    async def pause(self) -> None:
        """Pause after a page for as long as is due. The next one begins then. Raises Unavailable."""
        seconds = perf_counter() - self._began
        await asyncio.sleep(self._rule.pause_after(seconds, await self._db.value(COUNT_ARRIVALS)))
        self._began = perf_counter()
