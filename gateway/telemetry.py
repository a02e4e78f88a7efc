"""Everything that the gateway can notice, and who listens.

Code below calls `observe` with one of these and knows nothing of logs or metrics; listeners are added where a process is put together.
Tuples, as the most frequent of them are made several times in each request.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Literal, NamedTuple


class StatementRan(NamedTuple):
    """One SQL statement came back."""

    name: str
    seconds: float
    rows: int


class TransactionRestarted(NamedTuple):
    """A write met a concurrent one and begins again with fresh pointers."""

    reason: str
    attempt: int


class RequestServed(NamedTuple):
    """An HTTP request was answered. `route` is the route's pattern, never an address that a client made up."""

    route: str
    method: str
    status: int
    seconds: float


class QueueChanged(NamedTuple):
    """So many requests wait for their turn now. `queue` is the kind of work, one of a few fixed words."""

    queue: str
    length: int


class AdmissionRefused(NamedTuple):
    """A request was refused because too many wait for the same kind of work."""

    queue: str


class ConnectionCut(NamedTuple):
    """A connection was ended by us. `reason` is its phase that went on for too long, or one of: room, refused, pipelined, unread, no http."""

    reason: str


class FaultMasked(NamedTuple):
    """Something unexpected happened; the caller was told the correlation id and nothing else."""

    error: BaseException


class IssuerKeysFetched(NamedTuple):
    """The public keys of a token issuer were asked for. `reason` is why they did not come, None where they did."""

    issuer: str
    reason: str | None
    seconds: float


class ConfigurationBroken(NamedTuple):
    """A row of a sandbox's configuration cannot be used; the rest of the sandbox goes on. `message` names the row and its fault."""

    sandbox_id: int
    message: str


class EmbeddedPostgres(NamedTuple):
    """The embedded Postgres died, and what became of it after so many seconds. `reason`: why it could not be started again."""

    state: Literal["lost", "recovered", "failed"]
    seconds: float
    reason: str | None


class JobLeft(NamedTuple):
    """A worker has no more to do with a job now. `outcome`: completed, put off, failed, or lost to a newer one or another worker."""

    kind: str
    outcome: str
    seconds: float


class OperationRan(NamedTuple):
    """A GraphQL operation ran; neither its name nor its text is told.

    `reason` is why the stock executor took it, in one of a few fixed words. `stages` are names and seconds, in order; what was kept
    from an earlier request is not among them. `is_kept`: its plan was, and so many `plans` are kept now.
    """

    kind: Literal["query", "mutation", "subscription"]
    way: Literal["compiled", "stock"]
    reason: str | None
    stages: Sequence[tuple[str, float]]
    is_kept: bool
    plans: int


class ConnectionRefused(NamedTuple):
    """Postgres does not let the gateway in, and will not the next time either; `reason` is what it said, which names no person."""

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
    | ConnectionRefused
    | JobLeft
    | OperationRan
)
Listener = Callable[[Observation], None]

# Names the request that is being served, in its answer, in the log and to whoever asks what went wrong.
correlation_id: ContextVar[str] = ContextVar("correlation_id", default="-")

_listeners: list[Listener] = []


def listen(listener: Listener) -> Callable[[], None]:
    """Call `listener` for everything that happens from now on; the returned function ends that."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def observe(observation: Observation) -> None:
    for listener in _listeners:
        listener(observation)
