"""What comes in on connections is parsed in steps, so that bytes that are dear to parse hold up nobody.

A quarter of a megabyte, which one read may bring, is parsed in microseconds where it is one piece of a body, and takes a tenth of a second
where it is forty thousand chunks of one byte. So it is cut into steps, shorter ones where it
has many lines, of which each chunk and header has one or two. A connection whose bytes are dear is not read from until they are
parsed, and all such connections share a small part of each turn of the event loop, a step each in turn.
"""

import asyncio
from collections import deque
from time import perf_counter
from typing import Final, Protocol

from gateway.runtime.garbage_collection import GARBAGE

STEP_BYTES: Final = 1 << 11
"""Parsed at once: half a millisecond at most."""

FEW_LINES: Final = 100
"""What has no more is parsed in steps of `LONG_STEP_BYTES`. Lines of HTTP end with a carriage return; those of a body cost nothing here."""

LONG_STEP_BYTES: Final = 1 << 14
"""Parsed at once, where there are few lines: less than a head may have, since a step may have the end of one request and the head of another."""

FIRST_SECONDS: Final = 0.00025
"""How long what one read brings is parsed at once, and the step that goes beyond; the rest waits for its turn."""

TURN_SECONDS: Final = 0.0005
"""How long what waits is parsed in one turn of the event loop, and the step that goes beyond."""

HELD_BYTES: Final = 64 << 20
"""Bytes that wait to be parsed, of all connections; one that brings more is cut off."""


class Source(Protocol):
    """A connection that parses what it is given."""

    def parse(self, step: bytes | memoryview) -> bool:
        """Parse some bytes. False: no more of what has come in is looked at."""

    def pause_reading(self) -> None:
        """Read no more from the client."""

    def resume_reading(self) -> None:
        """Read on, where nothing else stands against it."""


class ParsingQueue:
    """What waits to be parsed, of all connections of a process."""

    def __init__(self) -> None:
        self._held: dict[Source, deque[memoryview]] = {}
        self._size = 0
        self._is_at_work = False  # whether a turn is to come

    def is_holding(self, source: Source) -> bool:
        """Whether bytes of this connection wait."""
        return source in self._held

    def take(self, source: Source, data: bytes, loop: asyncio.AbstractEventLoop) -> bool:
        """Have the bytes parsed, now as far as that takes no time. False: too many wait already, and these are not taken."""
        if source in self._held:
            return self._hold(source, memoryview(data), loop)
        if len(data) <= STEP_BYTES:
            source.parse(data)
            return True
        GARBAGE.pass_through(len(data))
        step = LONG_STEP_BYTES if data.count(b"\r") <= FEW_LINES else STEP_BYTES
        left, end = memoryview(data), perf_counter() + FIRST_SECONDS
        while source.parse(left[:step]):
            left = left[step:]
            if not left or perf_counter() >= end:
                return not left or self._hold(source, left, loop)
        return True

    def forget(self, source: Source) -> None:
        """Drop what waits of this connection."""
        self._size -= sum(map(len, self._held.pop(source, ())))

    def _hold(self, source: Source, left: memoryview, loop: asyncio.AbstractEventLoop) -> bool:
        if self._size + len(left) > HELD_BYTES:
            return False
        if not self._is_at_work:
            self._is_at_work = True
            loop.call_soon(self._turn, loop)
        if source not in self._held:
            self._held[source] = deque()
            source.pause_reading()
        self._held[source].append(left)
        self._size += len(left)
        return True

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Parse a step of each connection in turn, for a time."""
        end = perf_counter() + TURN_SECONDS
        try:
            while self._held:
                self._step(next(iter(self._held)))
                if perf_counter() >= end:
                    break
        finally:
            self._is_at_work = bool(self._held)
            if self._is_at_work:
                loop.call_soon(self._turn, loop)

    def _step(self, source: Source) -> None:
        """Parse the next step of a connection, which goes behind the others."""
        waiting = self._held.pop(source)
        data = waiting.popleft()
        step = data[:STEP_BYTES]
        self._size -= len(step)
        if len(data) > STEP_BYTES:
            waiting.appendleft(data[STEP_BYTES:])
        self._held[source] = waiting
        if not source.parse(step):
            self.forget(source)
        elif not waiting:
            self._held.pop(source, None)
            source.resume_reading()
