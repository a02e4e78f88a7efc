"""How connections to Postgres are opened: to the server itself, or to a pooler in transaction mode that stands in front of it.

Postgres itself keeps what belongs to a session: settings, sent as startup parameters, and prepared statements. Behind a pooler each
transaction may run on another server connection; so nothing is set for the session there, and no statement has a name. Then
`statement_timeout` and the planner's settings are those of the database role, and the time limit of a statement is kept by our clock
alone, which calls off what exceeds it.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import asyncpg

SETTINGS: Final = {
    "jit": "off",
    "search_path": "gateway",
    "enable_memoize": "off",  # hardly a statement looks for a key twice
    "plan_cache_mode": "force_generic_plan",  # each statement has one right plan; to plan it anew over partitions takes longer than to run it
}

MARK: Final = "gateway.session"
"""A setting that is there on a connection only if the startup parameters came through to the server."""

GRACE: Final = 0.5
"""Seconds that the server has for keeping a statement's time limit before we do: then the connection can be used on."""

Connect = Callable[[], Awaitable[Any]]


async def open_first(dsn: str, *, seconds: float, cache_size: int) -> tuple[Any, Connect]:
    """A connection, and how to open more like it: over a pooler if `cache_size` is 0, or if the startup parameters do not come through.

    `seconds` is the time limit of a statement, and of opening a connection; `cache_size` the number of prepared statements that each
    connection keeps. Raises TimeoutError, OSError and asyncpg's errors.
    """
    limits = {"timeout": seconds, "command_timeout": seconds + GRACE}
    pooled = partial(asyncpg.connect, dsn, statement_cache_size=0, **limits)  # no statement has a name
    if cache_size:
        settings = {**SETTINGS, "statement_timeout": f"{round(seconds * 1000)}", MARK: "kept"}
        direct = partial(asyncpg.connect, dsn, statement_cache_size=cache_size, server_settings=settings, **limits)
        if (connection := await _open_direct(direct)) is not None:
            return connection, direct
    return await pooled(), pooled


async def _open_direct(direct: Connect) -> Any | None:
    """A connection whose settings are in force; None where a pooler refuses them, or drops them."""
    try:
        connection = await direct()
    except asyncpg.ProtocolViolationError:
        return None  # pgbouncer: "unsupported startup parameter"
    try:
        # A simple query, as it needs no prepared statement.
        is_kept = await connection.execute(f"show {MARK}") == "SHOW"
    except asyncpg.UndefinedObjectError:
        is_kept = False
    if is_kept:
        return connection
    await connection.close()
    return None
