"""A directory for each test, or each module, that keeps a server's data."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from places import reachable_directory


@pytest.fixture
def place() -> Iterator[Path]:
    with reachable_directory() as path:
        yield path


@pytest.fixture(scope="module")
def module_place() -> Iterator[Path]:
    with reachable_directory() as path:
        yield path
