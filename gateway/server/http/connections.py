"""Client connections and their time limits: a slow, silent or endless client holds one of a bounded number of places for a bounded time.

A connection is in one phase at a time, and all but one of them have a time limit:

    HEAD       from being accepted, or from a request's first byte, until the request's head is complete
    WORK       a request is read and answered; the application limits the time
    DISCARD    the request is answered, and the rest of its body, which is ignored, still comes in
    IDLE       kept for the next request
    REFUSED    an error response was sent, or bytes after a response were malformed; further bytes are ignored
    CLOSING    closed by us as soon as the client has read what was sent

In any phase, a connection is closed whose client does not read what is sent to it. When all places are taken, a new connection gets the
place of the one that has waited for a request for longest; if none waits, the new one is refused.
"""

import asyncio
import logging
import resource
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, parse_url
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.errors import BadInput, GatewayError, LimitExceeded, SlowSender, Unavailable
from gateway.server.http.parsing import ParsingQueue
from gateway.server.http.responses import NOT_SNIFFED, error_response
from gateway.server.http.transport import CoalescingTransport, CompactCycle
from gateway.telemetry import ConnectionCut, observe

MAX_HEAD_BYTES: Final = 32_768
MAX_HEADERS: Final = 100
MAX_PIPELINED: Final = 16
"""Requests that a client may send ahead of their responses."""

DISCARD_SECONDS: Final = 5
"""How long ignored bytes may come in after a response: a client may lose the response of a connection that is closed at once."""

MIN_READ_BYTES_PER_SECOND: Final = 10_000
"""How fast a client has to read the bytes that wait for it."""

MAX_UNREAD_BYTES: Final = 128 << 20
"""Of all connections together; beyond it, those whose responses have waited for longest are closed."""

SWEEP_SECONDS: Final = 0.5
"""Time between two checks of time limits."""

ENDING_SECONDS: Final = 3
"""How long requests may take to end, and to respond with what they did, after they were told to."""

RESERVED_FILES: Final = 100
"""Files of this process that are no client connections: to Postgres, its log, its port."""


_LOGGER: Final = logging.getLogger("gateway.connections")
"""Gets uvicorn's errors. Errors of clients are counted and not logged, so that clients cannot fill the log."""
_LOGGER.setLevel(logging.ERROR)


class Phase(IntEnum):
    """The phase of a connection, as the module describes them."""

    HEAD = 0
    WORK = 1
    DISCARD = 2
    IDLE = 3
    REFUSED = 4
    CLOSING = 5


HEAD, WORK, DISCARD, IDLE, REFUSED, CLOSING = Phase  # members of an enum are slow to look up


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The number of connections of a process, and time limits in seconds.

    These are for the head of a request, for an idle connection, for a client that does not read, and for requests when the process ends.
    """

    connections: int
    head_seconds: float
    idle_seconds: float
    read_seconds: float
    drain_seconds: float


def connections_within_files(count: int) -> int:
    """Return how many of `count` connections this process may open files for; raise its soft limit of files if that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = count + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < files:
        soft = files if hard == resource.RLIM_INFINITY else min(files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return count if soft == resource.RLIM_INFINITY else max(min(count, soft - RESERVED_FILES), 1)


class Connections:
    """The connections of a process; uvicorn calls it for each new one. It may be pickled for another process before the first.

    `end` is called with the application when running requests have to end with the process.
    """

    def __init__(self, limits: ConnectionLimits, end: Callable[[Any], None]) -> None:
        self._limits = limits
        self._end = end
        self._seconds: dict[Phase, float] = {
            HEAD: limits.head_seconds,
            DISCARD: DISCARD_SECONDS,
            IDLE: limits.idle_seconds,
            REFUSED: DISCARD_SECONDS,
        }
        self._since = tuple(
            OrderedDict[ClientConnection, float]() if phase in self._seconds else None for phase in Phase
        )
        self._unread = OrderedDict[ClientConnection, tuple[float, int]]()
        self.parsing = ParsingQueue()
        self._count = 0
        self._is_sweeping = False
        self._is_draining = False

    def __call__(self, **given: Any) -> "ClientConnection":
        return ClientConnection(self, **given)

    def open(self, connection: "ClientConnection") -> bool:
        """Register a new connection, in the place of another if need be. Return False if there is no place for it."""
        self._count += 1
        self.move(connection, HEAD)
        if not self._is_sweeping:
            self._is_sweeping = True
            connection.loop.call_later(SWEEP_SECONDS, self._sweep, connection.loop)
        return self._count <= self._limits.connections or self._make_room(connection)

    def close(self, connection: "ClientConnection") -> None:
        """Unregister a closed connection."""
        self._count -= 1
        self.move(connection, CLOSING)
        self._unread.pop(connection, None)
        self.parsing.forget(connection)

    def move(self, connection: "ClientConnection", phase: Phase) -> None:
        """Move a connection to a phase, and note the time if the phase has a time limit."""
        since = self._since
        if (left := since[connection.phase]) is not None:
            left.pop(connection, None)
        if (entered := since[phase]) is not None:
            entered[connection] = connection.loop.time()
        connection.phase, connection.is_over = phase, phase >= REFUSED

    def wait_for_client(self, connection: "ClientConnection") -> None:
        """Begin to check how fast the client reads, until it has read everything that was sent."""
        if connection not in self._unread:
            self._unread[connection] = (connection.loop.time(), connection.unread)

    def drain(self, loop: asyncio.AbstractEventLoop, app: Any, tasks: AbstractSet["asyncio.Task[None]"]) -> None:
        """Let requests go on for `drain_seconds`, then tell them to end, and ENDING_SECONDS later cancel their `tasks`."""
        if not self._is_draining:
            self._is_draining = True
            loop.call_later(self._limits.drain_seconds, self._end, app)
            loop.call_later(self._limits.drain_seconds + ENDING_SECONDS, _cancel, tasks)

    def _make_room(self, newcomer: "ClientConnection") -> bool:
        for phase in (REFUSED, DISCARD, HEAD, IDLE):
            longest = next(iter(self._since[phase] or ()), newcomer)
            if longest is not newcomer:
                longest.cut("room")
                return True
        return False

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Expire connections past their time limits, and schedule the next sweep while there are connections."""
        now = loop.time()
        for phase, seconds in self._seconds.items():
            for connection, since in list((self._since[phase] or {}).items()):
                if now - since < seconds:
                    break  # the later ones came later
                connection.expire()
        self._sweep_unread(now)
        self._is_sweeping = self._count > 0
        if self._is_sweeping:
            loop.call_later(SWEEP_SECONDS, self._sweep, loop)

    def _sweep_unread(self, now: float) -> None:
        total, seconds = 0, self._limits.read_seconds
        for connection, (since, before) in list(self._unread.items()):
            unread = connection.unread
            if not unread:
                del self._unread[connection]
            elif now - since < seconds:
                total += unread
            elif before - unread < MIN_READ_BYTES_PER_SECOND * seconds:
                connection.cut("unread")
            else:
                self._unread[connection] = (now, unread)
                total += unread
        for connection in list(self._unread):
            if total <= MAX_UNREAD_BYTES:
                return
            total -= connection.unread
            connection.cut("unread")


def _cancel(tasks: AbstractSet["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()


class ClientConnection(HttpToolsProtocol):
    """One connection: uvicorn's protocol within limits, over a transport that sends a response in one piece."""

    # Beyond thirty attributes in its `__dict__` an object loses CPython's fast access to all of them, and uvicorn has nearly that many.
    __slots__ = ("_answering", "_connections", "_overhead", "_receiving", "is_over", "phase")

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.logger = _LOGGER
        self._connections = connections
        self.phase = HEAD
        self.is_over = False  # whether further bytes are ignored
        self._receiving = IDLE  # what the parser reads: HEAD, WORK for a body, or IDLE
        self._overhead = 0  # bytes of a head, then of trailers, or of a chunk's length and extensions
        self._answering: RequestResponseCycle | None = None  # `cycle` is that of the request which came last

    @property
    def unread(self) -> int:
        """Bytes that were sent and are still buffered in this process."""
        return self.transport.get_write_buffer_size()

    def expire(self) -> None:
        """Close or refuse the connection, whose phase has exceeded its time limit."""
        if self.phase in (HEAD, DISCARD):
            observe(ConnectionCut(self.phase.name.lower()))
        if self.phase is HEAD and self._receiving is HEAD:
            self._refuse(SlowSender("The head of the request did not arrive in time."))
        else:
            self.transport.close()

    def cut(self, reason: str) -> None:
        """Close the connection at once, even if the client has not read everything."""
        observe(ConnectionCut(reason))
        self._connections.move(self, CLOSING)
        self.transport.abort()

    # -------------------------------------------------------------------------------------------- transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register the connection of a new client, or refuse it."""
        super().connection_made(cast("asyncio.Transport", CoalescingTransport(transport, self.loop, self._closing)))
        self.flow = FlowControl(cast("asyncio.Transport", self))
        if not self._connections.open(self):
            observe(ConnectionCut("refused"))
            self._refuse(Unavailable("All connections are in use; try again."))
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister the connection, which either side has closed, and let go of what refers to it.

        Then all of it is freed at once. A collection of garbage would free the objects of a thousand connections together, and all wait.
        """
        self._connections.close(self)
        self.pipeline.clear()
        self.cycle, self._answering = cast("RequestResponseCycle", self._answering), None
        super().connection_lost(exc)  # which tells the request that its client has gone
        self.cycle = self.flow = None  # type: ignore[assignment]
        cast("CoalescingTransport", self.transport).release()

    def data_received(self, data: bytes) -> None:
        """Parse bytes that were received."""
        if not self.is_over and not self._connections.parsing.take(self, data, self.loop):
            self.cut("unparsed")

    def parse(self, step: bytes | memoryview) -> bool:
        """Parse some bytes, and return whether later ones are to be parsed too."""
        if self.is_over:
            return False
        try:
            self.parser.feed_data(step)
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        except HttpParserUpgrade:
            pass  # the request is answered as plain HTTP
        if self._receiving is not IDLE and not self.is_over:
            self._check_size(len(step))
        return not self.is_over

    def pause_reading(self) -> None:
        """Read no more from the client."""
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless the application or the parser has enough for now."""
        if self.phase is not CLOSING and not (self.flow.read_paused or self._connections.parsing.is_holding(self)):
            self.transport.resume_reading()

    def _check_size(self, size: int) -> None:
        if self._receiving is HEAD:
            if self.phase is IDLE:
                self._connections.move(self, HEAD)
            if len(self.headers) > MAX_HEADERS:
                self._refuse_headers()
                return
        self._overhead += size
        if self._overhead > MAX_HEAD_BYTES:
            what = "The head of a request" if self._receiving is HEAD else "What stands around or behind a body"
            self._refuse_head(f"{what} has at most {MAX_HEAD_BYTES:,} bytes.")

    def pause_writing(self) -> None:
        """Pause the application, as the client has not read everything that was sent."""
        self._connections.wait_for_client(self)
        super().pause_writing()

    def shutdown(self) -> None:
        """Close the connection, at once or after its response, as the process ends."""
        self._connections.drain(self.loop, self.app, self.tasks)
        super().shutdown()

    # -------------------------------------------------------------------------------------------- parser

    def on_message_begin(self) -> None:
        """Begin the head of a request."""
        self._receiving, self._overhead = HEAD, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End the head of a request, and begin its response."""
        self._receiving, self._overhead = WORK, 0
        headers, self.headers = self.headers, []  # trailers are no headers of the request
        if self.is_over:
            return
        if len(headers) > MAX_HEADERS:
            self._refuse_headers()
        elif len(self.pipeline) >= MAX_PIPELINED:
            self.cut("pipelined")
        else:
            self._connections.move(self, WORK)
            self._begin()

    def _begin(self) -> None:
        """Start the response of a request, or queue it behind earlier ones, as uvicorn does, but with our cycle."""
        scope, parser, version = cast("dict[str, Any]", self.scope), self.parser, self.parser.get_http_version()
        url = parse_url(self.url)
        path = url.path.decode("ascii")
        scope["method"], scope["http_version"] = parser.get_method().decode("ascii"), version
        scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        scope["raw_path"], scope["query_string"] = self.root_path.encode("ascii") + url.path, url.query or b""
        before: RequestResponseCycle | None = self.cycle
        self.cycle = CompactCycle(
            self.scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            self.access_log,
            self.server_state.default_headers,
            asyncio.Event(),
            self.expect_100_continue,
            version != "1.0" and parser.should_keep_alive(),
            self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Pass a piece of a body to the application."""
        self._overhead = 0
        if not self.is_over:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._receiving = IDLE
        if self.phase is DISCARD:
            self._connections.move(self, IDLE)
        elif not self.is_over:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """End a response, and start that of the next request, which may have been received already."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._connections.move(self, DISCARD if self._receiving is WORK else self._receiving)

    def send_400_response(self, msg: str) -> None:
        """Refuse malformed HTTP, in the shape of other errors."""
        observe(ConnectionCut("no http"))
        self._refuse(BadInput(msg))

    # -------------------------------------------------------------------------------------------- ends

    def _closing(self) -> None:
        self._connections.move(self, CLOSING)
        self._connections.wait_for_client(self)

    def _refuse_headers(self) -> None:
        self.headers = []
        self._refuse_head(f"A request has at most {MAX_HEADERS} headers.")

    def _refuse_head(self, message: str) -> None:
        self._refuse(LimitExceeded(message), HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _refuse(self, error: GatewayError, status: int | None = None) -> None:
        """Send an error response and ignore further bytes; if a response was begun or sent, only close the connection."""
        before: RequestResponseCycle | None = self.cycle
        if before is not None and not before.response_complete:
            self.transport.close()
            return
        if self.phase is DISCARD:
            self._connections.move(self, REFUSED)
            return
        response = error_response(error, status)
        headers = [*self.server_state.default_headers, *response.raw_headers, NOT_SNIFFED, (b"connection", b"close")]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[response.status_code], head, bytes(response.body)))
        self.transport.write_eof()
        self._connections.move(self, REFUSED)
