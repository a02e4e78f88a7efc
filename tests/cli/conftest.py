"""Fixtures of tests of commands: a directory that every user can reach, and a running server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from people_dataset import create_dataset
from places import reachable_directory
from program import Server, server


@pytest.fixture
def place() -> Iterator[Path]:
    with reachable_directory() as path:
        yield path


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """A running server for the tests that leave it as it is, with a dataset in it."""
    with reachable_directory() as path, server(path / "data") as started:
        with started.client() as client:
            create_dataset(client)
        yield started
