"""Look-ups: what an edge answers of identities, from its store alone.

What it lacks it writes down, and the hub delivers it if it is there: then a look-up waits for that a short while.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any, Final, NamedTuple

from gateway.domain.edges import projections
from gateway.domain.edges.wanted import Lacking, want
from gateway.domain.rules.normalization import MAX_VALUE_CHARACTERS
from gateway.errors import BadInput, Forbidden, GatewayError, LimitExceeded, NotFound, Timeout, Unavailable
from gateway.server.edge.callers import EdgeCaller, EdgeCallers
from gateway.server.edge.received import EdgeConfiguration, Received
from gateway.server.http.admission import Admission, Admissions, Tenant
from gateway.storage.database import Database
from gateway.storage.notifications import Channel
from gateway.telemetry import EdgeLookedUp, observe

MAX_IDENTITIES: Final = 1_000
"""Of one request."""

ROWS_AT_ONCE: Final = 100
"""Projections that one statement reads: each has at most 256 kB."""

SILENCE_SECONDS: Final = 5.0
"""An idle hub is heard each second; one that was not heard for so long is away."""

MAX_ROUNDS: Final = 3
"""How often a look-up begins anew because settings were delivered meanwhile."""

MAX_WAITING: Final = 100
"""Requests that wait for the hub at once, at most half of them of one sandbox; others are told to come back."""

HELD, STALE, ABSENT, MISSING = "held", "stale", "absent", "missing"
"""What may become of an identity: its projection is held, or older than its `ttl`; nobody has it; or it is not known here."""

LACKING: Final = {STALE, MISSING}


class Identity(NamedTuple):
    """An identity as a caller names it."""

    namespace: str
    value: str


@dataclass(frozen=True, slots=True)
class Found:
    """A projection as it is served: `profile` and each of `events`, newest first, are finished JSON. `age` is in seconds."""

    profile: str
    events: Sequence[str]
    projected_at: str
    etag: str
    age: int

    @property
    def text(self) -> str:
        """Its JSON, without the braces around."""
        return f'"profile":{self.profile},"events":[{",".join(self.events)}],"projectedAt":"{self.projected_at}"'


Result = Found | GatewayError
"""What a look-up gives for one identity: its projection, or why there is none."""


class Lookups:
    """Looks up projections for callers. What one look-up gives has at most `most_bytes`, about.

    One that lacks something waits for the hub for at most `wait_seconds`.
    """

    def __init__(
        self,
        db: Database,
        received: Received,
        callers: EdgeCallers,
        admissions: Admissions,
        *,
        most_bytes: int,
        wait_seconds: float,
    ) -> None:
        self._db = db
        self._received = received
        self._callers = callers
        self._admissions = admissions
        self._most_bytes = most_bytes
        self._wait_seconds = wait_seconds
        self._waiting = Admission("misses", places=MAX_WAITING, share=MAX_WAITING // 2)

    async def caller(self, headers: Mapping[str, str], client: Tenant) -> EdgeCaller:
        """Return who sends these headers from an address. Raises Unauthenticated, Forbidden, Unavailable, Timeout."""
        caller = self._callers.known(headers)
        if caller is None:
            async with self._admissions.strangers.place(client):
                caller = await self._callers.meet(headers)
        return caller

    async def find(
        self, headers: Mapping[str, str], client: Tenant, name: str, identities: Sequence[Identity]
    ) -> list[Result]:
        """Look up the projections of identities by the configuration of a name, in order, for the sender of these headers at an address.

        Raises NotFound for an unknown configuration, LimitExceeded, Unauthenticated, Forbidden, Unavailable, Timeout.
        """
        for _ in range(MAX_ROUNDS):
            caller = await self.caller(headers, client)
            configuration = caller.settings.configurations.get(name)
            if configuration is not None:
                asked = [_asked(caller, configuration, each) for each in identities]
                async with self._admissions.operations.place(caller.settings.sandbox_id):
                    rows = await self._read(caller, configuration, asked)
                if rows is not None:
                    rows = await self._completed(caller, configuration, asked, rows)
                    return list(map(_result, asked, rows, [configuration] * len(rows)))
            if not await self._received.refresh() and configuration is None:
                raise NotFound("There is no projection configuration of this name here.")
        raise Unavailable("The settings have just changed; try again.")

    async def _read(
        self, caller: EdgeCaller, configuration: EdgeConfiguration, asked: Sequence[Lacking | GatewayError]
    ) -> list[Any] | None:
        """Return the row of each identity, None for one that is refused; None for all if the caller's settings are not the newest."""
        since, settings = configuration.since(datetime.now(UTC)), caller.settings
        keys = [each.identity for each in asked if isinstance(each, Lacking)]
        found, size = list[Any](), 0
        for start in range(0, len(keys), ROWS_AT_ONCE):
            some = keys[start : start + ROWS_AT_ONCE]
            rows = await projections.look_up(self._db, settings.sandbox_id, configuration.configuration_id, since, some)
            if not rows or rows[0]["settings_version"] != settings.version:
                return None
            found += rows
            if len(keys) > 1:
                size += sum(len(row["profile"]) + sum(map(len, row["events"])) for row in rows if row["profile"])
            if size > self._most_bytes:
                raise LimitExceeded(f"The answer would have more than {self._most_bytes:,} bytes: ask for fewer.")
        of_key = iter(found)
        return [next(of_key) if isinstance(each, Lacking) else None for each in asked]

    async def _completed(
        self,
        caller: EdgeCaller,
        configuration: EdgeConfiguration,
        asked: Sequence[Lacking | GatewayError],
        rows: list[Any],
    ) -> list[Any]:
        """Return the rows, those that were lacking as the hub has delivered them meanwhile, if it is there and few others wait."""
        outcomes = [_outcome(configuration, row) for row in rows]
        if not LACKING.isdisjoint(outcomes):
            with suppress(Unavailable, Timeout):  # then it is answered with what there is
                rows = await self._want(caller, configuration, asked, rows)
                outcomes = [_outcome(configuration, row) for row in rows]
        for outcome, count in Counter(outcomes).items():
            observe(EdgeLookedUp(outcome, count))
        return rows

    async def _want(
        self,
        caller: EdgeCaller,
        configuration: EdgeConfiguration,
        asked: Sequence[Lacking | GatewayError],
        rows: list[Any],
    ) -> list[Any]:
        """Note what is lacking and wait for it, unless the hub is away. Raises Unavailable where too many wait."""
        sandbox_id, clock = caller.settings.sandbox_id, asyncio.get_running_loop().time
        until = clock() + self._wait_seconds
        with self._db.waiter(Channel.EDGE_ANSWERED) as waiter:
            lacking = _lacking(configuration, asked, rows)
            heard_age = next(row["heard_age"] for row in rows if row is not None)
            await want(self._db, sandbox_id, configuration.configuration_id, lacking)
            if heard_age is None or heard_age > SILENCE_SECONDS:
                return rows
            async with self._waiting.place(sandbox_id):
                while lacking and (left := until - clock()) > 0:
                    await waiter.wait(left)
                    again = await self._read(caller, configuration, lacking)
                    if again is None:
                        break
                    fresh = {each.identity: row for each, row in zip(lacking, again, strict=True)}
                    rows = [
                        fresh.get(each.identity, row) if isinstance(each, Lacking) else row
                        for each, row in zip(asked, rows, strict=True)
                    ]
                    lacking = _lacking(configuration, lacking, again)
        return rows


NOT_BOUND: Final = "The token is for one projection of one person, and for no other."


def _asked(caller: EdgeCaller, configuration: EdgeConfiguration, named: Identity) -> Lacking | GatewayError:
    """Return an identity as the store knows it, or why the caller cannot ask for it."""
    namespace, bound_to = caller.settings.namespaces.get(named.namespace), caller.bound_to
    value = namespace.normalized(named.value) if namespace else named.value
    if bound_to is not None and (bound_to.configuration_id, bound_to.namespace, bound_to.value) != (
        configuration.configuration_id,
        named.namespace,
        value,
    ):
        return Forbidden(NOT_BOUND)
    if namespace is None:
        return BadInput("There is no namespace with this code.")
    if not 0 < len(value) <= MAX_VALUE_CHARACTERS or "\0" in value:
        return BadInput(f"The value of an identity has 1 to {MAX_VALUE_CHARACTERS:,} characters, none of them NUL.")
    return Lacking(namespace.key(value), namespace.namespace_id, value)


def _outcome(configuration: EdgeConfiguration, row: Any) -> str:
    if row is None:
        return "refused"
    if row["profile"] is None:
        return ABSENT if row["is_absent"] else MISSING
    return STALE if configuration.is_reactive and row["delivered_age"] > configuration.ttl else HELD


def _lacking(
    configuration: EdgeConfiguration, asked: Sequence[Lacking | GatewayError], rows: Sequence[Any]
) -> list[Lacking]:
    pairs = zip(asked, rows, strict=True)
    return [each for each, row in pairs if isinstance(each, Lacking) and _outcome(configuration, row) in LACKING]


def _result(asked: Lacking | GatewayError, row: Any, configuration: EdgeConfiguration) -> Result:
    if isinstance(asked, GatewayError):
        return asked
    if row["profile"] is None:
        if row["is_absent"]:
            return NotFound("Nobody has this identity.")
        return Unavailable("This edge does not have this projection now; try again.")
    age, confirmed_age, events = row["delivered_age"], row["confirmed_age"], row["events"]
    if not configuration.is_reactive:
        age = min(age, inf if confirmed_age is None else confirmed_age)
    etag = row["etag"] if len(events) == row["delivered_events"] else f"{row['etag']}-{len(events)}"
    return Found(row["profile"], events, row["projected_at"], etag, max(int(age), 0))
