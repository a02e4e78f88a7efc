"""Opening connections to Postgres: to the server itself, or to a pooler in transaction mode in front of it.

Postgres itself keeps what belongs to a session: settings, sent as startup parameters, and prepared statements. Behind a pooler each
transaction may run on another server connection; so nothing is set for the session there, and no statement has a name. Then
`statement_timeout` and the planner's settings are those of the database role, and the time limit of a statement is kept by our clock
alone, which cancels what exceeds it.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar, Final

import asyncpg

SETTINGS: Final = {
    "jit": "off",
    "search_path": "gateway",
    "enable_memoize": "off",  # hardly a statement looks for a key twice
    "plan_cache_mode": "force_generic_plan",  # each statement has one right plan; to plan it anew takes longer than to run it
}

SETTINGS_ON_A_CLUSTER: Final = {
    **SETTINGS,
    "plan_cache_mode": "auto",
}  # which nodes a statement concerns is told by its values

SESSION_SETTING: Final = "gateway.session"
"""A setting that a connection has only if its startup parameters reached the server."""

PRIMARY: Final = "primary"
"""Which of the servers in an address is connected to: a standby would not know yet that a key was revoked, or the configuration changed."""

GRACE_SECONDS: Final = 0.5
"""How long after a statement's time limit the driver waits for the server to enforce it: the connection then stays usable."""

FIRST_OWN_TYPE: Final = 16_384
"""Types with smaller numbers come with Postgres, and are the same in every database."""

Connect = Callable[[], Awaitable[Any]]


class TypeSharing(asyncpg.Connection):
    """A connection that knows the types of Postgres which others of the process have asked the server about.

    The driver asks on each new connection at the first array in a statement, which costs as much as to open three connections.
    """

    _known: ClassVar[dict[frozenset[int], Any]] = {}
    _NOTHING_SENT: ClassVar = SimpleNamespace(name="none")

    async def _introspect_types(self, typeoids: Collection[int], timeout: float | None) -> tuple[Any, Any]:  # noqa: ASYNC109 (the driver's)
        ask: Any = super()._introspect_types
        asked = frozenset(typeoids)
        if asked in self._known:
            return self._known[asked], self._NOTHING_SENT
        types, statement = await ask(typeoids, timeout)
        if max(asked) < FIRST_OWN_TYPE:
            self._known[asked] = types
        return types, statement


async def open_first(
    dsn: str, *, seconds: float, cache_size: int, settings: Mapping[str, str] = SETTINGS
) -> tuple[Any, Connect]:
    """Open a connection and return it with the function that opens more like it.

    Both are for a pooler if `cache_size` is 0, or if the startup parameters do not reach the server.
    `seconds` is the time limit of a statement, and of opening a connection; `cache_size` the number of prepared statements that each
    connection keeps. Raises TimeoutError, OSError and asyncpg's errors.
    """
    limits = {"timeout": seconds, "command_timeout": seconds + GRACE_SECONDS, "target_session_attrs": PRIMARY}
    connect = partial(asyncpg.connect, dsn, connection_class=TypeSharing, **limits)
    pooled = partial(connect, statement_cache_size=0)  # no statement has a name
    if cache_size:
        settings = {**settings, "statement_timeout": f"{round(seconds * 1000)}", SESSION_SETTING: "kept"}
        kept = {"statement_cache_size": cache_size, "max_cacheable_statement_size": 0}  # with many rows they are long
        direct = partial(connect, **kept, server_settings=settings)
        if (connection := await _open_direct(direct)) is not None:
            return connection, direct
    return await pooled(), pooled


def connect_apart(dsn: str, *, seconds: float, statement_seconds: float, settings: Mapping[str, str] = {}) -> Connect:
    """Return the function that opens a connection beside the pool, for few statements: to listen on, or for one that takes long.

    The opening is limited by `seconds`, each statement by `statement_seconds`, by the driver alone.
    """
    limits = {"timeout": seconds, "command_timeout": statement_seconds, "target_session_attrs": PRIMARY}
    return partial(asyncpg.connect, dsn, statement_cache_size=0, server_settings=dict(settings), **limits)


async def open_to_alter(dsn: str, *, seconds: float, statement_seconds: float, wait_seconds: float) -> Any | None:
    """Open a connection to change the schema on; None through a pooler, where nothing is kept between two statements.

    As `connect_apart`; each wait for a lock is limited by `wait_seconds`, and a statement whose client is gone ends within seconds.
    """
    settings = {
        "statement_timeout": "0",
        "lock_timeout": f"{round(wait_seconds * 1000)}",
        "client_connection_check_interval": "2s",
        SESSION_SETTING: "kept",
    }
    return await _open_direct(
        connect_apart(dsn, seconds=seconds, statement_seconds=statement_seconds, settings=settings)
    )


async def _open_direct(direct: Connect) -> Any | None:
    """Return a connection whose settings are in force, or None where a pooler refuses or drops them."""
    try:
        connection = await direct()
    except asyncpg.ProtocolViolationError:
        return None  # pgbouncer: "unsupported startup parameter"
    try:
        # A simple query, as it needs no prepared statement.
        is_kept = await connection.execute(f"show {SESSION_SETTING}") == "SHOW"
    except asyncpg.UndefinedObjectError:
        is_kept = False
    if is_kept:
        return connection
    await connection.close()
    return None
