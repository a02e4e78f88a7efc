"""Errors of Postgres and its driver, translated to errors of `gateway.errors`; nothing above this package knows the driver's.

    the connection is lost, refused or cut off; the server starts, stops, stands by or is out of room    Unavailable
    a deadlock, a serialization failure, a lock that is not given                                       Contended
    a statement past its time limit                                                                     Timeout
    a constraint whose violation a caller can mend                                                       as CONSTRAINTS says
    any other constraint                                                                                ConstraintViolated
    a value that cannot be stored                                                                       Unstorable
    anything else that Postgres refuses                                                                 StatementFailed

The driver's error stays their cause, for the log.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Coroutine
from typing import Any, Final, TypeVar

from asyncpg.exceptions import (
    CannotConnectNowError,
    ClientConfigurationError,
    DataError,
    DeadlockDetectedError,
    InsufficientPrivilegeError,
    InsufficientResourcesError,
    IntegrityConstraintViolationError,
    InterfaceError,
    InternalClientError,
    InternalServerError,
    InvalidCachedStatementError,
    LockNotAvailableError,
    PostgresError,
    ProgramLimitExceededError,
    QueryCanceledError,
    SerializationError,
    TargetServerAttributeNotMatched,
    TooManyConnectionsError,
)

from gateway.errors import (
    CONSTRAINTS,
    ConstraintViolated,
    Contended,
    DatabaseRefused,
    GatewayError,
    StatementFailed,
    Timeout,
    Unavailable,
    Unstorable,
)

T = TypeVar("T")

DRIVER: Final = (OSError, PostgresError, InterfaceError, InternalClientError)
"""What the driver raises, except for a value that has no UTF-8 (UnicodeEncodeError)."""

OPENING: Final = (*DRIVER, ValueError)
"""What the driver raises when it opens a connection; a ValueError for its address."""

NOT_NOW: Final = (
    *(OSError, CannotConnectNowError, TooManyConnectionsError, InsufficientResourcesError),
    TargetServerAttributeNotMatched,  # a standby, perhaps until it is promoted
)
"""Of OPENING, what may be otherwise soon."""

UNSTORABLE: Final = (DataError, ProgramLimitExceededError, UnicodeEncodeError)

SIMPLE: Final[tuple[tuple[tuple[type[Exception], ...], type[GatewayError]], ...]] = (
    ((TimeoutError, QueryCanceledError), Timeout),
    ((DeadlockDetectedError, SerializationError, LockNotAvailableError), Contended),
    ((OSError, InternalClientError), Unavailable),
    ((InvalidCachedStatementError,), Unavailable),  # prepared before a migration; the driver has dropped it by now
)
"""Errors that are translated by their class alone; the first row that fits counts."""

UNAVAILABLE_STATES: Final = ("08", "25006", "25P03", "53", "57", "58")
"""Beginnings of the SQLSTATEs of a server that cannot do anything now: connections (08), a standby that only reads (25006), an idle
transaction that it ended (25P03), no room or memory (53), a stop or a start (57), errors of its system (58)."""

DUPLICATE_OF_A_COPY: Final = "duplicate key value violates unique constraint"
"""How the coordinator of a cluster tells, as an error of its own, that a node refuses a row of a COPY."""

OF_A_NODE: Final[tuple[tuple[str, type[GatewayError]], ...]] = (
    ("server closed the connection unexpectedly", Unavailable),  # the node has gone
    ("could not find valid entry for shard", Contended),  # it was split while the statement waited for it
)
"""Errors of its own by which a coordinator tells of a node, by how they begin."""

OF_NO_ROW: Final = (
    "could not ",
    "out of memory",
    "terminating ",
    "canceling ",
    "deadlock ",
    "connection ",
    "failed to ",
    "the database system ",
)
"""How errors begin that a node tells of a COPY and that are no row's: of its disk, memory, connections, locks."""


async def run_translated(connection: Any, work: Awaitable[T]) -> T:
    """Return the result of work on a connection. Raises `translated` errors in place of the driver's."""
    try:
        return await work
    except (*DRIVER, UnicodeEncodeError) as error:
        raise translated(error, is_closed=connection.is_closed()) from error


async def run_unless_lost(connection: Any, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of work that the driver would leave waiting for ever on a lost connection. Raises Unavailable when it is lost."""
    running = asyncio.ensure_future(work)
    is_lost = False

    def give_up(_: Any) -> None:
        nonlocal is_lost
        is_lost = running.cancel()

    connection.add_termination_listener(give_up)
    try:
        return await running
    except (Exception, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        if is_lost and not (task and task.cancelling()):
            raise Unavailable from error
        raise
    finally:
        connection.remove_termination_listener(give_up)


def translated(error: Exception, *, is_closed: bool) -> GatewayError:
    """Return the error of ours for one of the driver's. `is_closed`: whether its connection is closed by now."""
    of_a_node = str(error) if isinstance(error, InternalServerError) else ""
    by_class = [ours for kinds, ours in SIMPLE if isinstance(error, kinds)]
    if known := by_class or [ours for beginning, ours in OF_A_NODE if of_a_node.startswith(beginning)]:
        return known[0]()
    condition, state = type(error).__name__.removesuffix("Error"), getattr(error, "sqlstate", None)
    if isinstance(error, UNSTORABLE):
        return Unstorable(condition=condition, sqlstate=state)
    if is_closed or (state or "").startswith(UNAVAILABLE_STATES):
        return Unavailable()
    if of_a_node.startswith(DUPLICATE_OF_A_COPY) or isinstance(error, IntegrityConstraintViolationError):
        return _violated(getattr(error, "constraint_name", None) or "", condition, state)
    if isinstance(error, InsufficientPrivilegeError):  # it names an object, and quotes no row
        return StatementFailed(f"The database does not allow it: {error}.", condition=condition, sqlstate=state)
    # What Postgres says in its message may quote values, and so people's data.
    return StatementFailed(f"Postgres refuses a statement: {condition} ({state}).", condition=condition, sqlstate=state)


def of_a_copy(error: StatementFailed) -> StatementFailed:
    """Return what an error of a COPY means on a cluster, whose coordinator passes on the words of a node without their SQLSTATE.

    What it does not know otherwise is a row that cannot be stored; whether it is one, and which, shows when rows are tried apart.
    """
    cause = error.__cause__
    if (
        type(error) is not StatementFailed
        or not isinstance(cause, InternalServerError)
        or str(cause).startswith(OF_NO_ROW)
    ):
        return error
    return Unstorable(condition=error.condition, sqlstate=error.sqlstate)


def opening_failed(error: Exception) -> GatewayError:
    """Return the error of ours for one that was raised while a connection was opened: DatabaseRefused where a retry is of no use."""
    if isinstance(error, TimeoutError):
        return Timeout("The database does not answer.")
    if isinstance(error, ssl.SSLError) or "SSL upgrade" in str(error):  # the latter: the server has no SSL
        return DatabaseRefused(f"No encrypted connection to the database can be made: {error}.")
    if isinstance(error, NOT_NOW):
        return Unavailable(f"The database does not answer: {error}; try again.")
    if isinstance(error, PostgresError):
        return DatabaseRefused(f"The database refuses the gateway: {error} ({getattr(error, 'sqlstate', None)}).")
    if isinstance(error, ClientConfigurationError):  # of one parameter of the address, and never of the password
        return DatabaseRefused(f"The address of the database cannot be used: {error}.")
    return DatabaseRefused(
        "The address of the database is none: it is like postgresql://user:password@host:port/database."
    )


def _violated(constraint: str, condition: str, state: str | None) -> GatewayError:
    """Return the error for a violated constraint."""
    if constraint not in CONSTRAINTS:
        return ConstraintViolated(constraint, condition=condition, sqlstate=state)
    kind, message, path = CONSTRAINTS[constraint]
    return kind(message, path=path)


def leaves_sound(error: BaseException) -> bool:
    """Return whether a connection is usable after this error: it was not lost, and no statement was cut off in the middle."""
    if isinstance(error, Timeout):
        return not isinstance(error.__cause__, TimeoutError)  # by our clock: the server still runs it
    if isinstance(error, GatewayError):
        return not isinstance(error, Unavailable) or isinstance(error, Contended)
    return isinstance(error, Exception) and not isinstance(error, OSError | InternalClientError)
