"""`gateway verify`."""

from functools import partial
from typing import Annotated

import typer
from rich.progress import Progress, TaskID

from gateway.cli.options import DataDir, progress, run, settings_of
from gateway.domain.configuration import Configurations
from gateway.domain.tenants import list_sandboxes
from gateway.domain.verification import Difference
from gateway.domain.verification import verify as verify_sandbox
from gateway.server.store import open_store
from gateway.settings import Settings


def verify(
    sandbox: Annotated[str | None, typer.Option(help="Only the sandbox of this name; else all of them.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="About so many identities of each; else all.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Rebuild identity graphs and profiles from the facts, and compare them with what is stored.

    Nothing is written, and a server may go on working. Exit code 1 when anything differs.
    """
    with progress() as bar:
        found = run(_verify(settings_of(data_dir=data_dir), sandbox, sample, bar))
    for name, one in found:
        typer.echo(f"{name}: {one.table} {one.key}: {one.message}")
    typer.echo(f"{len(found):,} differences" if found else "every view is what the facts make of it")
    if found:
        raise typer.Exit(1)


async def _verify(
    settings: Settings, sandbox: str | None, sample: int | None, bar: Progress
) -> list[tuple[str, Difference]]:
    """What differs, each with the name of its sandbox."""
    found: list[tuple[str, Difference]] = []
    async with open_store(settings) as store:
        every = await list_sandboxes(store.db, await store.scope())
        for name in [sandbox] if sandbox else [one.name for one in every]:
            task = bar.add_task(name, total=sample)
            compared = partial(_show, bar, task)
            scope = await store.scope(name)
            found += [(name, one) for one in await verify_sandbox(store.db, scope, Configurations(), sample, compared)]
    return found


def _show(bar: Progress, task: TaskID, compared: int) -> None:
    bar.update(task, completed=compared)
