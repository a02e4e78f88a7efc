"""Commands that run others beside them: each in a process of its own, in a session that no Ctrl-C reaches, and gone with its parent."""

import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final, TypeAlias

from gateway.cli.options import run
from gateway.errors import GatewayError, Unavailable
from gateway.server.logs import configure_logs
from gateway.settings import Settings

START_SECONDS: Final = 600
"""How long a child may take until it is ready: the first start loads data."""

_SLOW: Final = "A process that was started does not get ready."
_BROKEN: Final = "A process that was started has ended; the log says why."

Report: TypeAlias = Callable[[Any], None]
"""Tells the parent once that the child is ready, and what it needs to know."""

Work: TypeAlias = Callable[..., Coroutine[Any, Any, None]]
"""What a child does: it takes `Report`, the settings, and more."""


@dataclass(frozen=True, slots=True)
class Child:
    """A child that said that it is ready, and what it `reported`."""

    process: SpawnProcess
    reported: Any


@contextmanager
def children(started: Sequence[tuple[Work, Settings, tuple[Any, ...]]]) -> Iterator[list[Child]]:
    """Run work in children until the block ends; yield them once all are ready. Raises Unavailable when one does not start."""
    processes = [_start(*each) for each in started]
    try:
        yield [Child(process, _hear(receiver)) for process, receiver in processes]
    finally:
        for process, _ in processes:
            process.terminate()
        for process, _ in processes:
            process.join()


def wait_for_end(child: Child) -> None:
    """Wait until a child has ended by itself."""
    wait([child.process.sentinel])


def _start(work: Work, settings: Settings, more: tuple[Any, ...]) -> tuple[SpawnProcess, Connection]:
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(work, sender, settings, more))
    process.start()
    sender.close()
    return process, receiver


def _hear(receiver: Connection) -> Any:
    try:
        reported, fault = receiver.recv() if receiver.poll(START_SECONDS) else (None, _SLOW)
    except EOFError:
        reported, fault = None, _BROKEN
    if fault is not None:
        raise Unavailable(fault)
    return reported


def _run(work: Work, sender: Connection, settings: Settings, more: tuple[Any, ...]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logs(settings.log_level)
    try:
        run(work(lambda news: sender.send((news, None)), settings, *more))
    except GatewayError as error:
        sender.send((None, error.message))
    except KeyboardInterrupt:  # SIGTERM of the parent
        return
