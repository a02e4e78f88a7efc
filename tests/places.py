"""Directories that the embedded server's user can reach: only the user of the tests may enter those of pytest."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY, ENOUGH = Path("/dev/shm"), 4 << 30  # noqa: S108 (a directory of its own is made in it)


@contextmanager
def reachable_directory() -> Iterator[Path]:
    """A new directory that everybody may enter, gone after the block; in memory if there is enough: disks are slow at a thousand small files."""
    path = Path(tempfile.mkdtemp(prefix="gateway-test-", dir=_roomy_memory())).resolve()
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _roomy_memory() -> Path | None:
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ENOUGH:
        return None
    return MEMORY
