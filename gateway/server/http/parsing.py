"""Parses bytes of connections in steps, so that bytes which are slow to parse delay no other connection.

One read may bring a quarter of a megabyte. It is parsed in microseconds where it is one piece of a body, and in a tenth of a second where
it is forty thousand chunks of one byte. So it is cut into steps, shorter ones where it has many lines: each chunk and header has one or
two. A connection with unparsed bytes is not read from, and all such connections share a small part of each turn of the event loop, a step
each in turn.
"""

import asyncio
from collections import deque
from time import perf_counter
from typing import Final, Protocol

from gateway.runtime.garbage_collection import GARBAGE

STEP_BYTES: Final = 1 << 11
"""Parsed in one step, in half a millisecond at most."""

MAX_LINES_OF_LONG_STEPS: Final = 100
"""Bytes with no more lines are parsed in steps of LONG_STEP_BYTES. Lines of HTTP end with a carriage return; lines of bodies do not count."""

LONG_STEP_BYTES: Final = 1 << 14
"""Parsed in one step of few lines: less than a head may have, as a step may hold the end of one request and the head of another."""

FIRST_SECONDS: Final = 0.00025
"""How long the bytes of one read are parsed at once, to the end of a step; the rest waits for its turn."""

TURN_SECONDS: Final = 0.0005
"""How long waiting bytes are parsed in one turn of the event loop, to the end of a step."""

MAX_HELD_BYTES: Final = 64 << 20
"""Of all connections together, waiting to be parsed; a connection that exceeds it is closed."""


class ByteSource(Protocol):
    """A connection whose bytes are parsed."""

    def parse(self, step: bytes | memoryview) -> bool:
        """Parse some bytes, and return whether later ones are to be parsed too."""

    def pause_reading(self) -> None:
        """Read no more from the client."""

    def resume_reading(self) -> None:
        """Read on, unless there is another reason not to."""


class ParsingQueue:
    """The unparsed bytes of all connections of a process."""

    def __init__(self) -> None:
        self._held: dict[ByteSource, deque[memoryview]] = {}
        self._size = 0
        self._is_at_work = False  # whether a turn is to come

    def is_holding(self, source: ByteSource) -> bool:
        """Return whether bytes of this connection wait."""
        return source in self._held

    def take(self, source: ByteSource, data: bytes, loop: asyncio.AbstractEventLoop) -> bool:
        """Parse the bytes, now or in later turns of the event loop. Return False, and do not take them, if too many wait already."""
        if source in self._held:
            return self._hold(source, memoryview(data), loop)
        if len(data) <= STEP_BYTES:
            source.parse(data)
            return True
        GARBAGE.pass_through(len(data))
        step = LONG_STEP_BYTES if data.count(b"\r") <= MAX_LINES_OF_LONG_STEPS else STEP_BYTES
        left, end = memoryview(data), perf_counter() + FIRST_SECONDS
        while source.parse(left[:step]):
            left = left[step:]
            if not left or perf_counter() >= end:
                return not left or self._hold(source, left, loop)
        return True

    def forget(self, source: ByteSource) -> None:
        """Drop the waiting bytes of this connection."""
        self._size -= sum(map(len, self._held.pop(source, ())))

    def _hold(self, source: ByteSource, left: memoryview, loop: asyncio.AbstractEventLoop) -> bool:
        if self._size + len(left) > MAX_HELD_BYTES:
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

    def _step(self, source: ByteSource) -> None:
        """Parse the next step of a connection, and move it behind the others."""
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
