"""Listening for notifications: one connection of the process listens, for any number of waiters.

It is opened for the first waiter, directly to Postgres: a pooler in transaction mode would pass nothing on. When it is lost it is opened
again, with growing pauses; then, as at first, all waiters are woken, because a notification may have been missed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

from gateway.storage.connections import Connect
from gateway.storage.faults import DRIVER, OPENING, opening_failed
from gateway.storage.notifications import Channel
from gateway.telemetry import ListenerChanged, observe

MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.1, 10.0
"""Before the connection is opened again; the pause doubles with each loss, until one has lasted for the longest pause."""

PING_SECONDS = 15.0
"""Between two statements that find out whether the server is still there: a network may lose a connection without a word."""


class Waiter:
    """Waits for notifications on one channel. One that comes between two waits ends the next wait at once."""

    def __init__(self) -> None:
        self._is_notified = asyncio.Event()

    def wake(self) -> None:
        """End the wait, or the next one."""
        self._is_notified.set()

    async def wait(self, seconds: float) -> None:
        """Return at the next notification, or after so many seconds: notifications may be lost."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_notified.wait()
        self._is_notified.clear()


class Listener:
    """Wakes waiters at notifications. `connect` opens its connection."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._waiters = defaultdict[Channel, set[Waiter]](set)
        self._listening: asyncio.Task[None] | None = None
        self._is_lost = False

    @contextmanager
    def waiter(self, channel: Channel) -> Iterator[Waiter]:
        """Yield a waiter that every notification on the channel wakes, as long as the block lasts."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        waiter = Waiter()
        self._waiters[channel].add(waiter)
        try:
            yield waiter
        finally:
            self._waiters[channel].discard(waiter)

    async def close(self) -> None:
        """End the connection."""
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening

    async def _listen(self) -> None:
        pause = MIN_PAUSE_SECONDS
        while True:
            began = monotonic()
            try:
                connection = await self._connect()
            except OPENING as error:
                self._observe_loss(opening_failed(error).message)
            else:
                await self._listen_on(connection)
            if monotonic() - began > MAX_PAUSE_SECONDS:
                pause = MIN_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    async def _listen_on(self, connection: Any) -> None:
        """Listen until the connection is lost."""
        is_lost = asyncio.Event()
        connection.add_termination_listener(lambda _: is_lost.set())
        try:
            for channel in Channel:
                await connection.add_listener(channel.value, self._wake)
            self._wake_all()
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(PING_SECONDS):
                        await is_lost.wait()
                await connection.execute("select")  # an error on a lost connection
        except DRIVER:
            self._observe_loss("The connection was lost.")
        finally:
            connection.terminate()

    def _wake_all(self) -> None:
        if self._is_lost:
            self._is_lost = False
            observe(ListenerChanged("recovered", None))
        for channel in Channel:
            self._wake(None, 0, channel, "")

    def _observe_loss(self, reason: str) -> None:
        if not self._is_lost:
            self._is_lost = True
            observe(ListenerChanged("lost", reason))

    def _wake(self, _: Any, __: int, channel: str, ___: str) -> None:
        for waiter in self._waiters[Channel(channel)]:
            waiter.wake()
