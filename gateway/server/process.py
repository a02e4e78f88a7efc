"""The server process: from a bound port to a clean end.

On SIGTERM or Ctrl-C, running requests get their responses, then connections and the embedded Postgres are closed. With several workers,
this process holds the port and the embedded Postgres and supervises the workers: one that dies is replaced, and if this process dies
they end.
"""

import asyncio
import multiprocessing
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, TypeVar

import structlog  # noqa: F401  before the first line of the log, for which requests would wait
import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors.multiprocess import Multiprocess

from gateway.errors import SettingsError, Unavailable
from gateway.runtime.garbage_collection import collect_rarely
from gateway.server.http.connections import ENDING_SECONDS, ConnectionLimits, Connections, connections_within_files
from gateway.server.logs import configure_logs
from gateway.server.metrics import count_together, drop_process_gauges
from gateway.settings import Settings

BACKLOG = 2048
SWITCH_SECONDS = 0.0005
"""How soon a thread that computes yields the interpreter to the event loop. A request waits for that several times; Python's default is 5 ms."""

START_TIMEOUT_SECONDS = 60  # for a worker
RECEIVE_BYTES = 1 << 17
"""What the kernel keeps of a connection that is not read, twice this with its own overhead. Left to itself, it takes up to 32 MB for each:
a few thousand uploads that nobody reads yet exhaust its memory for TCP, and new connections of everybody wait for seconds."""

READ_OUT_SECONDS = 2  # for clients to read the last responses before their connections are closed


AnySocket = TypeVar("AnySocket", bound=socket.socket)

Create = Callable[[Path | None], Starlette]
"""Makes the application of a process, which may count together with others in a directory. A worker gets it pickled."""


class Port(socket.socket):
    """A bound port. Sent to a worker process, it becomes a socket of the worker's own.

    The kernel spreads connections over several sockets; from a shared one, a single worker would take all simultaneous connections.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _bind_shared, (self.family, self.getsockname())


def bind(settings: Settings) -> Port:
    """Bind the port without listening: until the server is ready, connections are refused. Raises SettingsError."""
    try:
        family, *_, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = _bounded(Port(family))
        bound.bind(address)
    except OSError as error:
        raise SettingsError(
            f"GATEWAY_HOST, GATEWAY_PORT: cannot listen on {settings.host} port {settings.port}: {error.strerror}."
        ) from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # after `bind`, so that a port in use is an error
    return bound


def _bind_shared(family: int, address: Any) -> socket.socket:
    own = _bounded(socket.socket(family))
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    own.bind(address)
    return own


def _bounded(listening: AnySocket) -> AnySocket:
    """Set the options of a socket before it is bound; its connections inherit them."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    return listening


def base_url(bound: socket.socket) -> str:
    """Return the server's URL for callers on this machine."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 # an address to call, not to listen on
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(settings: Settings, create: Create, bound: Port, ready: Callable[[], None]) -> None:
    """Serve an application until SIGTERM or SIGINT; call `ready` once requests are answered. Raises Unavailable when the workers do not start."""
    make = partial(_make, settings, create)
    if settings.workers == 1:
        await _Server(_config(settings, make), ready).serve(sockets=[bound])
        return
    with count_together() as counts:
        make = partial(make, counts)
        _Workers(_config(settings, make), bound, ready, counts).run()  # nothing else runs on this loop


def _config(settings: Settings, make: Callable[[], Starlette]) -> uvicorn.Config:
    return uvicorn.Config(
        make,
        factory=True,
        interface="asgi3",  # not to be guessed: the application's `__call__` is a plain function
        lifespan="on",
        workers=settings.workers,
        loop="auto",
        http=Connections(_limits(settings), _end_requests),  # type: ignore[arg-type]  # called as the class of a protocol would be
        ws="none",
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=ceil(settings.drain_seconds) + ENDING_SECONDS + READ_OUT_SECONDS,
    )


def _limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        connections_within_files(settings.connections),
        head_seconds=settings.head_seconds,
        idle_seconds=settings.idle_seconds,
        read_seconds=settings.read_seconds,
        drain_seconds=settings.drain_seconds,
    )


def _end_requests(app: Starlette) -> None:
    app.state.services.drained.set_result(None)


def _make(settings: Settings, create: Create, counts: Path | None = None) -> Starlette:
    configure_logs(settings.log_level)
    app = create(counts)
    if (supervisor := multiprocessing.parent_process()) is not None:
        asyncio.get_running_loop().add_reader(supervisor.sentinel, _end_with_supervisor, supervisor.sentinel)
    collect_rarely()
    sys.setswitchinterval(SWITCH_SECONDS)
    return app


def _end_with_supervisor(sentinel: int) -> None:
    """End this worker, as its supervisor has died."""
    asyncio.get_running_loop().remove_reader(sentinel)
    signal.raise_signal(signal.SIGTERM)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals as uvicorn does, but do not raise them again at the end, which would kill this process before it has closed everything."""
        before: dict[int, Any] = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


class _Workers(Multiprocess):
    def __init__(self, config: uvicorn.Config, bound: Port, ready: Callable[[], None], counts: Path) -> None:
        super().__init__(config, [bound])
        self._ready = ready
        self._counts = counts
        self._counted: set[int | None] = set()

    def init_processes(self) -> None:
        super().init_processes()
        if not all(process.wait_until_ready(START_TIMEOUT_SECONDS) for process in self.processes):
            self.terminate_all()
            self.join_all()
            raise Unavailable("The workers do not start; the log says why.")
        self._ready()

    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        alive = {process.pid for process in self.processes}
        for ended in self._counted - alive:
            drop_process_gauges(self._counts, ended)
        self._counted = alive
