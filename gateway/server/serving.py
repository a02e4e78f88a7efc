"""The server process: from a bound port to a clean end.

It says that it is ready when it is, and ends on SIGTERM or Ctrl-C like a function that returns: what runs is answered, then what it
stands on is taken down. With several workers, this process holds the port and the embedded Postgres, and watches over them.
"""

import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors.multiprocess import Multiprocess

from gateway.errors import SettingsError, Unavailable
from gateway.server.app import create_app
from gateway.server.logs import configure_logs
from gateway.server.store import Store
from gateway.settings import Settings

BACKLOG = 2048
START_SECONDS = 60  # for a worker


def bind(settings: Settings) -> socket.socket:
    """The port, ours but not listening yet: until we are ready, callers are refused. Raises SettingsError."""
    try:
        family, *_, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise SettingsError(f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}.") from error
    return bound


def base_url(bound: socket.socket) -> str:
    """Where the server is, for somebody on this machine."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 # an address to call, not to listen on
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(settings: Settings, store: Store, bound: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until told to stop; `ready` is called once requests are answered. Raises Unavailable when no worker starts."""
    make = partial(_worker, settings, store.dsn, store.jwt_secret)
    config = uvicorn.Config(
        make,
        factory=True,
        lifespan="on",
        workers=settings.workers,
        loop="auto",
        http="httptools",
        ws="none",
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(settings.drain_seconds),
    )
    if settings.workers == 1:
        await _Server(config, ready).serve(sockets=[bound])
    else:
        _Workers(config, bound, ready).run()  # nothing else runs on this loop


def _worker(settings: Settings, dsn: str, jwt_secret: str) -> Starlette:
    configure_logs(settings.log_level)
    app = create_app(settings, dsn, jwt_secret)
    gc.freeze()  # what is here now stays: no later collection need look at it
    gc.set_threshold(20_000, 20, 20)  # documents are thousands of small objects without cycles
    return app


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does it, but without sending itself the signal again at the end: its default action would kill us half-way."""
        before: dict[int, Any] = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


class _Workers(Multiprocess):
    def __init__(self, config: uvicorn.Config, bound: socket.socket, ready: Callable[[], None]) -> None:
        super().__init__(config, [bound])
        self._ready = ready

    def init_processes(self) -> None:
        super().init_processes()
        if not all(process.wait_until_ready(START_SECONDS) for process in self.processes):
            self.terminate_all()
            self.join_all()
            raise Unavailable("The workers do not start; the log says why.")
        self._ready()
