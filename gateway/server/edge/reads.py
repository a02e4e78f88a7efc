"""Reads of projections for requests: those that ask for one at the same moment share a statement."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from gateway.domain.edges.projections import Found, LookupResult, look_up
from gateway.domain.rules.durations import Duration
from gateway.errors import LimitExceeded
from gateway.runtime.batching import Coalescer
from gateway.storage.database import Database

ROWS_AT_ONCE: Final = 100
"""Projections that one statement reads: each has at most 256 kB."""


class ProjectionReads:
    """Reads the projections of one configuration. Events that are older than `within` are left out, None: none is."""

    def __init__(self, db: Database, sandbox_id: int, configuration_id: UUID, within: Duration | None) -> None:
        self._db = db
        self._sandbox_id = sandbox_id
        self._configuration_id = configuration_id
        self._within = within
        self._shared: Coalescer[UUID, LookupResult | None] = Coalescer(
            self._for_each, weight=lambda _: 1, most=ROWS_AT_ONCE
        )

    async def held(
        self, settings_version: int, identities: Sequence[UUID], most_bytes: int
    ) -> Mapping[UUID, Found | None] | None:
        """Return what is held of identities, as in `LookupResult`; None unless the sandbox's settings still are of this version.

        Raises LimitExceeded if the projections, each as often as it is asked for, have more than `most_bytes` and are several.
        """
        if len(identities) == 1:
            looked_up = await self._shared.value(identities[0])
            return looked_up.held if looked_up and looked_up.settings_version == settings_version else None
        held, size = dict[UUID, Found | None](), 0
        for start in range(0, len(identities), ROWS_AT_ONCE):
            some = identities[start : start + ROWS_AT_ONCE]
            looked_up = await self._look_up(some)
            if looked_up is None or looked_up.settings_version != settings_version:
                return None
            held |= looked_up.held
            size += sum(found.size for each in some if (found := held.get(each)))
            if size > most_bytes:
                raise LimitExceeded(f"The answer would have more than {most_bytes:,} bytes: ask for fewer.")
        return held

    async def _for_each(self, identities: Sequence[UUID]) -> Sequence[LookupResult | None]:
        return [await self._look_up(identities)] * len(identities)

    async def _look_up(self, identities: Sequence[UUID]) -> LookupResult | None:
        since = self._within.before(datetime.now(UTC)) if self._within else None
        return await look_up(self._db, self._sandbox_id, self._configuration_id, since, identities)
