"""Connections, and how long each may take: who is slow, silent or endless holds one of a bounded number of places for a bounded time.

A connection is in one phase at a time, and all but one of them end by themselves:

    HEAD       from being accepted, or from a request's first byte, until the request's head is whole
    WORK       a request is read and answered; for how long is a matter of who answers it
    DISCARD    the request is answered, and the rest of its body, which nobody wants, still comes in
    IDLE       kept for the next request
    REFUSED    told why there is no answer, or answered and then wrong; what still comes in is not looked at
    CLOSING    closed by us as soon as the client has read what was sent

In any phase a client is cut off that does not read what is sent to it. When all places are taken, a newcomer gets that of the connection
that has waited for longest for a request; where none waits, the newcomer is refused.
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
from gateway.server.http.responses import NOT_SNIFFED, refusal
from gateway.server.http.transport import Answering, CoalescingTransport
from gateway.telemetry import ConnectionCut, observe

HEAD_BYTES: Final = 32_768
HEADERS: Final = 100
PIPELINED: Final = 16
"""Requests that a client may send ahead of their answers."""

DISCARD_SECONDS: Final = 5
"""How long what nobody wants may come in after an answer; a connection closed at once might take the answer with it."""

SLOWEST: Final = 10_000
"""Bytes a second that a client has to read of what waits for it."""

UNREAD_BYTES: Final = 128 << 20
"""Answers that wait for their clients, of all connections: beyond, those that have waited for longest are dropped."""

SWEEP_SECONDS: Final = 0.5
"""How often it is looked for what has taken too long."""

ENDING_SECONDS: Final = 3
"""How long requests that were told to end may take to do so, and to tell what they did."""

RESERVED_FILES: Final = 100
"""Files that this process may open beside connections: to Postgres, its log, its port."""


FAULTS: Final = logging.getLogger("gateway.connections")
"""Hears of faults of ours. What clients do wrong is counted: to write it down would be a way to fill the log."""
FAULTS.setLevel(logging.ERROR)


class Phase(IntEnum):
    """What a connection is at, as told above."""

    HEAD = 0
    WORK = 1
    DISCARD = 2
    IDLE = 3
    REFUSED = 4
    CLOSING = 5


HEAD, WORK, DISCARD, IDLE, REFUSED, CLOSING = Phase  # as such they are reached in no time


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections a process holds; for how many seconds one may be without a whole head, be idle, not read what was sent;
    and for how many seconds requests may go on when the process wants to end."""

    connections: int
    head_seconds: float
    idle_seconds: float
    read_seconds: float
    drain_seconds: float


def connections_within_files(wanted: int) -> int:
    """As many connections as this process may open files for, at most those wanted; asks for more files where that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < files:
        soft = files if hard == resource.RLIM_INFINITY else min(files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(min(wanted, soft - RESERVED_FILES), 1)


class Connections:
    """The connections of a process: uvicorn calls this for each new one. It may be sent to another process before the first.

    `end` is called with the application when what still runs has to end, because the process does.
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
        self._since = tuple(OrderedDict[Connection, float]() if phase in self._seconds else None for phase in Phase)
        self._unread = OrderedDict[Connection, tuple[float, int]]()
        self.intake = ParsingQueue()
        self._count = 0
        self._is_sweeping = False
        self._is_draining = False

    def __call__(self, **given: Any) -> "Connection":
        return Connection(self, **given)

    def open(self, connection: "Connection") -> bool:
        """Take in a new connection, in the place of another if need be. False: there is no place for it."""
        self._count += 1
        self.move(connection, HEAD)
        if not self._is_sweeping:
            self._is_sweeping = True
            connection.loop.call_later(SWEEP_SECONDS, self._sweep, connection.loop)
        return self._count <= self._limits.connections or self._make_room(connection)

    def close(self, connection: "Connection") -> None:
        """Forget a connection, which is closed."""
        self._count -= 1
        self.move(connection, CLOSING)
        self._unread.pop(connection, None)
        self.intake.forget(connection)

    def move(self, connection: "Connection", phase: Phase) -> None:
        """A connection is in this phase from now on; note the time, where the phase has a limit."""
        since = self._since
        if (left := since[connection.phase]) is not None:
            left.pop(connection, None)
        if (entered := since[phase]) is not None:
            entered[connection] = connection.loop.time()
        connection.phase, connection.is_over = phase, phase >= REFUSED

    def wait_for_client(self, connection: "Connection") -> None:
        """Look at how fast the client reads what was sent to it, until it has read it."""
        if connection not in self._unread:
            self._unread[connection] = (connection.loop.time(), connection.unread)

    def drain(self, loop: asyncio.AbstractEventLoop, app: Any, tasks: AbstractSet["asyncio.Task[None]"]) -> None:
        """The process wants to end. The application's `tasks` may go on for a time; then they are told to end, and then they are ended."""
        if not self._is_draining:
            self._is_draining = True
            loop.call_later(self._limits.drain_seconds, self._end, app)
            loop.call_later(self._limits.drain_seconds + ENDING_SECONDS, _cancel, tasks)

    def _make_room(self, newcomer: "Connection") -> bool:
        for phase in (REFUSED, DISCARD, HEAD, IDLE):
            longest = next(iter(self._since[phase] or ()), newcomer)
            if longest is not newcomer:
                longest.cut("room")
                return True
        return False

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look for what has taken too long; go on as long as there are connections."""
        now = loop.time()
        for phase, seconds in self._seconds.items():
            for connection, since in list((self._since[phase] or {}).items()):
                if now - since < seconds:
                    break  # those behind it came later
                connection.expire()
        self._sweep_unread(now)
        self._is_sweeping = self._count > 0
        if self._is_sweeping:
            loop.call_later(SWEEP_SECONDS, self._sweep, loop)

    def _sweep_unread(self, now: float) -> None:
        all_of_it, seconds = 0, self._limits.read_seconds
        for connection, (since, before) in list(self._unread.items()):
            unread = connection.unread
            if not unread:
                del self._unread[connection]
            elif now - since < seconds:
                all_of_it += unread
            elif before - unread < SLOWEST * seconds:
                connection.cut("unread")
            else:
                self._unread[connection] = (now, unread)
                all_of_it += unread
        for connection in list(self._unread):
            if all_of_it <= UNREAD_BYTES:
                return
            all_of_it -= connection.unread
            connection.cut("unread")


def _cancel(tasks: AbstractSet["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()


class Connection(HttpToolsProtocol):
    """One connection: uvicorn's protocol within the limits, over a transport that sends an answer in one piece."""

    # Beyond thirty attributes in its `__dict__` an object loses CPython's fast access to all of them, and uvicorn has nearly that many.
    __slots__ = ("_beside_body", "_comes", "_connections", "is_over", "phase")

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.logger = FAULTS
        self._connections = connections
        self.phase = HEAD
        self.is_over = False  # whether what comes in is not looked at any more
        self._comes = IDLE  # what the parser is at: IDLE, HEAD, or WORK for a body
        self._beside_body = 0  # bytes of a head; then of trailers, or of a chunk's length and extensions

    @property
    def unread(self) -> int:
        """Bytes that were sent and that the client has not read, as far as this process knows."""
        return self.transport.get_write_buffer_size()

    def expire(self) -> None:
        """The phase has gone on for too long."""
        if self.phase in (HEAD, DISCARD):
            observe(ConnectionCut(self.phase.name.lower()))
        if self.phase is HEAD and self._comes is HEAD:
            self._refuse(SlowSender("The head of the request did not arrive in time."))
        else:
            self.transport.close()

    def cut(self, reason: str) -> None:
        """Close it now, whatever the client has read."""
        observe(ConnectionCut(reason))
        self._connections.move(self, CLOSING)
        self.transport.abort()

    # -------------------------------------------------------------------------------------------- transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(cast("asyncio.Transport", CoalescingTransport(transport, self.loop, self._closing)))
        self.flow = FlowControl(cast("asyncio.Transport", self))
        if not self._connections.open(self):
            observe(ConnectionCut("refused"))
            self._refuse(Unavailable("All connections are in use; try again."))
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by whomever."""
        self._connections.close(self)
        super().connection_lost(exc)
        self.cycle = None  # type: ignore[assignment]  # it holds the body, and us

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if not self.is_over and not self._connections.intake.take(self, data, self.loop):
            self.cut("unparsed")

    def parse(self, step: bytes | memoryview) -> bool:
        """Parse some bytes. False: no more of what has come in is looked at."""
        if self.is_over:
            return False
        try:
            self.parser.feed_data(step)
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        except HttpParserUpgrade:
            pass  # we speak nothing but HTTP, and answer in it
        if self._comes is not IDLE and not self.is_over:
            self._goes_on(len(step))
        return not self.is_over

    def pause_reading(self) -> None:
        """Read no more from the client."""
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, where neither whoever answers has enough for now, nor the parser."""
        if not (self.flow.read_paused or self._connections.intake.is_holding(self)):
            self.transport.resume_reading()

    def _goes_on(self, size: int) -> None:
        """A request is not whole yet after so many bytes more."""
        if self._comes is HEAD:
            if self.phase is IDLE:
                self._connections.move(self, HEAD)
            if len(self.headers) > HEADERS:
                self._refuse_headers()
                return
        self._beside_body += size
        if self._beside_body > HEAD_BYTES:
            what = "The head of a request" if self._comes is HEAD else "What stands around or behind a body"
            self._refuse_head(f"{what} has at most {HEAD_BYTES:,} bytes.")

    def pause_writing(self) -> None:
        """The client has not read all of what was sent."""
        self._connections.wait_for_client(self)
        super().pause_writing()

    def shutdown(self) -> None:
        """The process wants to end: close the connection, or have the answer that it waits for end it."""
        self._connections.drain(self.loop, self.app, self.tasks)
        super().shutdown()

    # -------------------------------------------------------------------------------------------- parser

    def on_message_begin(self) -> None:
        """A head begins."""
        self._comes, self._beside_body = HEAD, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._comes, self._beside_body = WORK, 0
        headers, self.headers = self.headers, []  # what comes behind a body in pieces is no header of the request
        if self.is_over:
            return
        if len(headers) > HEADERS:
            self._refuse_headers()
        elif len(self.pipeline) >= PIPELINED:
            self.cut("pipelined")
        else:
            self._connections.move(self, WORK)
            self._begin()

    def _begin(self) -> None:
        """Have the request answered, now or when those before it are: as uvicorn does, without what we have no use for, and by our cycle."""
        scope, parser, version = cast("dict[str, Any]", self.scope), self.parser, self.parser.get_http_version()
        url = parse_url(self.url)
        path = url.path.decode("ascii")
        scope["method"], scope["http_version"] = parser.get_method().decode("ascii"), version
        scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        scope["raw_path"], scope["query_string"] = self.root_path.encode("ascii") + url.path, url.query or b""
        before: RequestResponseCycle | None = self.cycle
        self.cycle = Answering(
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

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._beside_body = 0
        if not self.is_over:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._comes = IDLE
        if self.phase is DISCARD:
            self._connections.move(self, IDLE)
        elif not self.is_over:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request is answered: on to the next one, which may be here already."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._connections.move(self, DISCARD if self._comes is WORK else self._comes)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the shape of every other refusal."""
        observe(ConnectionCut("no http"))
        self._refuse(BadInput(msg))

    # -------------------------------------------------------------------------------------------- ends

    def _closing(self) -> None:
        """The transport is about to be closed, by whomever."""
        self._connections.move(self, CLOSING)
        self._connections.wait_for_client(self)

    def _refuse_headers(self) -> None:
        self.headers = []
        self._refuse_head(f"A request has at most {HEADERS} headers.")

    def _refuse_head(self, message: str) -> None:
        self._refuse(LimitExceeded(message), HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _refuse(self, error: GatewayError, status: int | None = None) -> None:
        """Answer without asking anybody, and look at nothing more; only close while another answer is on its way, or has been sent."""
        before: RequestResponseCycle | None = self.cycle
        if before is not None and not before.response_complete:
            self.transport.close()
            return
        if self.phase is DISCARD:
            self._connections.move(self, REFUSED)
            return
        response = refusal(error, status)
        headers = [*self.server_state.default_headers, *response.raw_headers, NOT_SNIFFED, (b"connection", b"close")]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[response.status_code], head, bytes(response.body)))
        self.transport.write_eof()
        self._connections.move(self, REFUSED)
