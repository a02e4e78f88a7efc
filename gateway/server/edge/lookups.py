"""Look-ups: what an edge answers of identities, from its store alone.

What it lacks it writes down, and the hub delivers it if it is there: then a look-up waits for that a short while.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple
from uuid import UUID

from gateway.domain.edges.projections import Found
from gateway.domain.edges.sandboxes import is_heard
from gateway.domain.edges.wanted import Lacking, want
from gateway.domain.rules.normalization import MAX_VALUE_CHARACTERS
from gateway.errors import BadInput, Forbidden, GatewayError, NotFound, Timeout, Unavailable
from gateway.server.edge.callers import EdgeCaller, EdgeCallers
from gateway.server.edge.received import EdgeConfiguration, Received, SandboxSettings
from gateway.server.http.admission import Admission, Admissions, Tenant
from gateway.storage.database import Database
from gateway.storage.notifications import Channel
from gateway.telemetry import EdgeLookedUp, observe

MAX_IDENTITIES: Final = 1_000
"""Of one request."""

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


Result = Found | GatewayError
"""What a look-up gives for one identity: its projection, or why there is none."""


Asked = Lacking | GatewayError
"""An identity as the store knows it, or why its caller cannot ask for it."""


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
                    results = await self._read(caller.settings, configuration, asked)
                if results is not None:
                    return await self._completed(caller.settings, configuration, asked, results)
            if not await self._received.refresh() and configuration is None:
                raise NotFound("There is no projection configuration of this name here.")
        raise Unavailable("The settings have just changed; try again.")

    async def _read(
        self, settings: SandboxSettings, configuration: EdgeConfiguration, asked: Sequence[Asked]
    ) -> list[Result] | None:
        """Return what is held of each identity, or why it is refused; None for all if the settings are not the newest. Raises LimitExceeded."""
        keys = [each.identity for each in asked if isinstance(each, Lacking)]
        held = await configuration.reads.held(settings.version, keys, self._most_bytes)
        return None if held is None else [_result(each, held) for each in asked]

    async def _completed(
        self,
        settings: SandboxSettings,
        configuration: EdgeConfiguration,
        asked: Sequence[Asked],
        results: list[Result],
    ) -> list[Result]:
        """Return the results, those that were lacking as the hub has delivered them meanwhile, if it is there and few others wait."""
        outcomes = [_outcome(configuration, each) for each in results]
        if not LACKING.isdisjoint(outcomes):
            with suppress(Unavailable, Timeout):  # then it is answered with what there is
                results = await self._want(settings, configuration, asked, results)
                outcomes = [_outcome(configuration, each) for each in results]
        for outcome in set(outcomes):
            observe(EdgeLookedUp(outcome, outcomes.count(outcome)))
        return results

    async def _want(
        self,
        settings: SandboxSettings,
        configuration: EdgeConfiguration,
        asked: Sequence[Asked],
        results: list[Result],
    ) -> list[Result]:
        """Note what is lacking and wait for it, unless the hub is away. Raises Unavailable where too many wait."""
        sandbox_id, clock = settings.sandbox_id, asyncio.get_running_loop().time
        until = clock() + self._wait_seconds
        with self._db.waiter(Channel.EDGE_ANSWERED) as waiter:
            lacking = _lacking(configuration, asked, results)
            await want(self._db, sandbox_id, configuration.configuration_id, lacking)
            if not await is_heard(self._db, sandbox_id, SILENCE_SECONDS):
                return results
            async with self._waiting.place(sandbox_id):
                while lacking and (left := until - clock()) > 0:
                    await waiter.wait(left)
                    again = await self._read(settings, configuration, lacking)
                    if again is None:
                        break
                    fresh = {each.identity: result for each, result in zip(lacking, again, strict=True)}
                    results = [
                        fresh.get(each.identity, result) if isinstance(each, Lacking) else result
                        for each, result in zip(asked, results, strict=True)
                    ]
                    lacking = _lacking(configuration, lacking, again)
        return results


NOT_BOUND: Final = "The token is for one projection of one person, and for no other."


def _asked(caller: EdgeCaller, configuration: EdgeConfiguration, named: Identity) -> Asked:
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


def _result(asked: Asked, held: Mapping[UUID, Found | None]) -> Result:
    if isinstance(asked, GatewayError):
        return asked
    if asked.identity not in held:
        return Unavailable("This edge does not have this projection now; try again.")
    return held[asked.identity] or NotFound("Nobody has this identity.")


def _outcome(configuration: EdgeConfiguration, result: Result) -> str:
    if isinstance(result, Found):
        return STALE if configuration.is_reactive and result.age >= configuration.ttl else HELD
    return MISSING if isinstance(result, Unavailable) else ABSENT if isinstance(result, NotFound) else "refused"


def _lacking(configuration: EdgeConfiguration, asked: Sequence[Asked], results: Sequence[Result]) -> list[Lacking]:
    pairs = zip(asked, results, strict=True)
    return [each for each, result in pairs if isinstance(each, Lacking) and _outcome(configuration, result) in LACKING]
