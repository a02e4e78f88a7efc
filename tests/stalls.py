"""A Postgres that stops answering, with all of its connections open: as behind a network that drops packets, or on a disk that hangs."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.postgres.cluster import Cluster


@contextmanager
def stalled(cluster: Cluster) -> Iterator[None]:
    """No process of the server runs as long as the block does."""
    postmaster = int((cluster.data_dir / "postgres/postmaster.pid").read_text().split("\n", 1)[0])
    os.kill(postmaster, signal.SIGSTOP)  # first, so that it starts no others
    stopped = [postmaster, *children(postmaster)]
    try:
        _signal(stopped, signal.SIGSTOP)
        yield
    finally:
        _signal(stopped, signal.SIGCONT)


def _signal(processes: list[int], number: int) -> None:
    for process in processes:
        with suppress(ProcessLookupError):  # one may have been ending as it was listed
            os.kill(process, number)


def children(parent: int) -> list[int]:
    """The processes that another one started and that are still there."""
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(process) for process in listed.split()]
