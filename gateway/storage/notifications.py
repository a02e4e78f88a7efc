"""Notifications: after a commit, processes that wait on a channel of Postgres learn that there may be something new.

They are sent by a statement of their own, as NOTIFY inside the transactions would let no two of them commit at once. One may be lost, with
this process or with its connection, so that no waiter relies on them alone: it also looks from time to time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from enum import StrEnum
from typing import Any

from gateway.errors import GatewayError

INTERVAL_SECONDS = 0.02
"""Between two notifications of this process on a channel."""

CLOSING_SECONDS = 1.0
"""How long closing waits for the last notification to be sent."""


class Channel(StrEnum):
    """What a notification is about. CHANGES: people changed. JOBS: a job is due. EDGE_WANTED: an edge lacks something. EDGE_ANSWERED: the hub
    has answered that."""

    CHANGES = "gateway_changes"
    JOBS = "gateway_jobs"
    EDGE_WANTED = "gateway_edge_wanted"
    EDGE_ANSWERED = "gateway_edge_answered"


class Notifications:
    """Sends the notifications of one process: the first at once, all that follow within the interval as one."""

    def __init__(self, send: Callable[[Collection[Channel]], Awaitable[Any]]) -> None:
        self._send = send
        self._due = set[Channel]()
        self._sending: asyncio.Task[None] | None = None

    def add(self, channels: Collection[Channel]) -> None:
        """Have these channels notified soon, without waiting for it."""
        self._due.update(channels)
        if self._due and self._sending is None:
            self._sending = asyncio.create_task(self._send_due())

    async def close(self) -> None:
        """Send what is due, if that takes no longer than CLOSING_SECONDS."""
        if self._sending is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._sending, CLOSING_SECONDS)

    async def _send_due(self) -> None:
        try:
            while self._due:
                due, self._due = self._due, set()
                with suppress(GatewayError):  # waiters look by themselves, too
                    await self._send(due)
                await asyncio.sleep(INTERVAL_SECONDS)
        finally:
            self._sending = None
