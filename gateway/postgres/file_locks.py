"""File locks that end with the processes that hold them, even when these are killed.

A lock belongs to the open file: children that inherit the descriptor hold it too, and it is free when the last of them
has ended. `kill -9` leaves none behind, and none depends on process ids, which are reused.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

RETRY_SECONDS = 0.02  # between two attempts


def open_lock(path: Path) -> int:
    """Open a lock file, owned by its directory's owner, and return its descriptor. Raises OSError, also for a symbolic link."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    owner = path.parent.stat()
    if os.fstat(descriptor).st_uid != owner.st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def acquire(descriptor: int, kind: int) -> bool:
    """Try to take a lock without waiting, and return whether it is held. `kind`: LOCK_SH or LOCK_EX of fcntl."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Wait for the lock, and hold it exclusively inside the block."""
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def locked_unless(gives_up: Callable[[], bool], path: Path) -> Iterator[bool]:
    """Wait for the lock until `gives_up` returns true. Yields whether the lock is held inside the block."""
    descriptor = open_lock(path)
    try:
        while not (is_held := acquire(descriptor, fcntl.LOCK_EX)) and not gives_up():
            time.sleep(RETRY_SECONDS)
        yield is_held
    finally:
        os.close(descriptor)
