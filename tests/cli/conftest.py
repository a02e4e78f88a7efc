"""Fixtures of tests of commands: a directory that every user can reach, and a running server."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from people_dataset import create_dataset
from places import reachable_directory
from program import Server, server
from typer.testing import CliRunner

from gateway.cli import options, program
from gateway.domain.config import tenants
from gateway.domain.rules.scope import EVERY_SANDBOX, Permission, Scope
from gateway.storage.database import Database


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


@pytest.fixture
def gateway_here(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `gateway` in this process, over a deployment of its own; raises the error that ends it."""
    monkeypatch.setattr(options, "configure_logs", lambda _: None)  # the log of this process goes on
    env = {"GATEWAY_DATABASE_URL": dsn, "GATEWAY_DATA_DIR": str(tmp_path), "COLUMNS": "300"}

    def run(*arguments: str) -> Result:
        ends = signal.getsignal(signal.SIGTERM)
        result = CliRunner().invoke(program.app, arguments, env=env)
        signal.signal(signal.SIGTERM, ends)  # as this process has it: a command takes it over
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def in_database(dsn: str) -> Callable[[Callable[[Database, Scope], Awaitable[Any]]], Any]:
    """Runs work with a database and the scope of the default sandbox."""

    async def run(work: Callable[[Database, Scope], Awaitable[Any]]) -> Any:
        db = await Database.connect(dsn, size=2)
        (organization,) = await tenants.list_organizations(db)
        sandbox = await tenants.read_sandbox(db, organization.organization_id, None)
        assert sandbox is not None
        try:
            return await work(
                db, Scope(organization, sandbox, frozenset(Permission), frozenset({EVERY_SANDBOX}), "ana")
            )
        finally:
            await db.close()

    return lambda work: asyncio.run(run(work))
