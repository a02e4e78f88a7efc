"""Directories that the embedded server's user can reach: only the user of the tests may enter those of pytest."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reachable_directory() -> Iterator[Path]:
    """A new directory that everybody may enter, gone after the block."""
    path = Path(tempfile.mkdtemp(prefix="gateway-test-")).resolve()
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)
