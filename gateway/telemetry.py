"""Every kind of observation that the gateway makes, and the listeners that get them.

Code calls `observe` with an observation and knows nothing of logs or metrics; listeners are added where a process is put together.
Observations are tuples, as the most frequent ones are made several times in each request.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

NO_STAGES: Final[Mapping[str, float]] = MappingProxyType({})
"""The stages of a request that is not for GraphQL."""


class StatementRan(NamedTuple):
    """A named SQL statement ended."""

    name: str
    seconds: float
    rows: int


class TransactionRestarted(NamedTuple):
    """A write transaction met a concurrent one and is retried with fresh pointers."""

    reason: str
    attempt: int


class RequestServed(NamedTuple):
    """An HTTP request was answered. `route` is the pattern of the route, never the address as the client wrote it.

    `stages` are the seconds of the stages of a GraphQL request, by name; a stage whose result was kept is missing.
    """

    route: str
    method: str
    status: int
    seconds: float
    stages: Mapping[str, float] = NO_STAGES


class QueueChanged(NamedTuple):
    """The number of waiting requests changed to `length`. `queue` is the kind of work, one of a few fixed words."""

    queue: str
    length: int


class AdmissionRefused(NamedTuple):
    """A request was refused because too many wait for this kind of work."""

    queue: str


class ConnectionCut(NamedTuple):
    """The gateway closed a connection. `reason` is the phase that took too long, or one of: room, refused, pipelined, unread, no http."""

    reason: str


class FaultMasked(NamedTuple):
    """An unexpected error was raised; the caller got the correlation id and nothing else."""

    error: BaseException


class IssuerKeysFetched(NamedTuple):
    """The public keys of a token issuer were fetched. `reason` is why that failed, None if it did not."""

    issuer: str
    reason: str | None
    seconds: float


class ConfigurationBroken(NamedTuple):
    """A row of a sandbox's configuration is unusable; the rest of the sandbox works on. `message` names the row and what is wrong with it."""

    sandbox_id: int
    message: str


class EmbeddedPostgres(NamedTuple):
    """The embedded Postgres was lost, recovered, or failed to start again, `seconds` after its loss. `reason`: why it failed."""

    state: Literal["lost", "recovered", "failed"]
    seconds: float
    reason: str | None


class ListenerChanged(NamedTuple):
    """The connection that listens for notifications was lost, or never opened, or works again. `reason`: why it does not."""

    state: Literal["lost", "recovered"]
    reason: str | None


class EdgeChanged(NamedTuple):
    """Deliveries to the edge of a data centre were held up, or go on again. `reason`: why they do not."""

    data_center: str
    state: Literal["held up", "recovered"]
    reason: str | None


class JobLeft(NamedTuple):
    """A worker left a job after `seconds`. `outcome`: completed, put off, failed, or lost to a newer job or another worker."""

    kind: str
    outcome: str
    seconds: float


class JobsCounted(NamedTuple):
    """The open jobs of a kind, in all sandboxes: how many, how old the oldest is, and how many have failed several attempts in a row.

    Recurring jobs, which are always open, are only counted in `stalled`.
    """

    kind: str
    open: int
    oldest_seconds: float
    stalled: int


class OperationRan(NamedTuple):
    """A GraphQL operation ran. Neither its name nor its text is observed. `is_kept`: its plan was cached. `plans`: how many plans are."""

    kind: Literal["query", "mutation", "subscription"]
    is_kept: bool
    plans: int


Costs: TypeAlias = tuple[tuple[str, int], ...]
"""Names of computed attributes, each with what its expression costs."""


class AttributesComputed(NamedTuple):
    """Values of computed attributes were computed together for so many records, people or events, in so many seconds.

    The time is divided among the attributes by their `costs`.
    """

    organization: str
    sandbox: str
    costs: Costs
    seconds: float
    records: int


class EdgeLookedUp(NamedTuple):
    """An edge looked up so many identities with one outcome: held, stale, absent, missing or refused."""

    outcome: str
    identities: int


class ProjectionTokenIssued(NamedTuple):
    """A token for one projection of one person was issued."""


class ConnectionRefused(NamedTuple):
    """Postgres refused a connection for good, so that a retry is useless. `reason` is the server's message, which names no person."""

    reason: str


Observation = (
    StatementRan
    | TransactionRestarted
    | RequestServed
    | FaultMasked
    | IssuerKeysFetched
    | ConfigurationBroken
    | QueueChanged
    | AdmissionRefused
    | ConnectionCut
    | EmbeddedPostgres
    | ListenerChanged
    | EdgeChanged
    | ConnectionRefused
    | JobLeft
    | JobsCounted
    | OperationRan
    | AttributesComputed
    | EdgeLookedUp
    | ProjectionTokenIssued
)
Listener = Callable[[Observation], None]

correlation_id: ContextVar[str] = ContextVar("correlation_id", default="-")
"""The id of the request that is being served: in its response, in the log, and in every masked error."""

_listeners: list[Listener] = []


def listen(listener: Listener) -> Callable[[], None]:
    """Call `listener` with every observation from now on. Return a function that ends this."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def observe(observation: Observation) -> None:
    """Call every listener with the observation."""
    for listener in _listeners:
        listener(observation)
