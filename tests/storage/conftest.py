"""Directories that the server's user can reach: pytest's own belong to whoever runs the tests, alone."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def reachable_directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="gateway-test-")).resolve()
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def place() -> Iterator[Path]:
    with reachable_directory() as path:
        yield path


@pytest.fixture(scope="module")
def module_place() -> Iterator[Path]:
    with reachable_directory() as path:
        yield path
