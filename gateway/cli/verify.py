"""`gateway verify`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, TaskID

from gateway.cli.erased import verify_erased
from gateway.cli.options import DataDir, progress, run, settings_of
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import list_sandboxes
from gateway.domain.operations.projection_store import open_edge
from gateway.domain.operations.projection_verification import verify_edge
from gateway.domain.operations.verification import count_other_spellings
from gateway.domain.operations.verification import verify as verify_sandbox
from gateway.domain.rules.scope import Scope
from gateway.domain.views.check import Difference
from gateway.errors import DatabaseRefused, SchemaError, Timeout, Unavailable
from gateway.server.deployment import open_deployment
from gateway.settings import Settings
from gateway.storage.database import Database


def verify(
    sandbox: Annotated[str | None, typer.Option(help="Only the sandbox of this name; else all of them.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="About so many identities of each; else all.")] = None,
    erased: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Instead look everywhere for the identities that this file lists.", allow_dash=True
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With `--erased`: print one JSON object.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Rebuild identity graphs, records and profiles from the facts, and compare them with what is stored.

    Without `--sample` every projection at the edges of `GATEWAY_EDGES` is compared with a fresh one, too. Nothing is written, and a server may go on working. It prints how many rows were compared. Exit code 1 when anything differs. It also
    prints, and does not count as a difference, how many identities of an older sandbox today's rules of text would normalize otherwise.

    With `--erased` it reads every column of every table, and the files of the data directory, for identities that were erased: one a line, as
    `namespace,value` or as a JSON object with both. It tells in which columns and files something stands and how often, never what. Exit
    code 1 when something is found.
    """
    if erased is not None:
        verify_erased(settings_of(data_dir=data_dir), erased, sandbox, as_json=as_json)
        return
    with progress() as bar:
        found = run(_verify(settings_of(data_dir=data_dir), sandbox, sample, bar))
    for name, compared in found.compared.items():
        typer.echo(f"{name}: compared {' · '.join(f'{rows} {count:,}' for rows, count in compared.items())}")
    for name, one in found.differences:
        typer.echo(f"{name}: {one.table} {one.key}: {one.message}")
    for name, count in found.other_spellings.items():
        if count:
            typer.echo(f"{name}: {count:,} identities keep a spelling that a new sandbox would not give them")
    different = len(found.differences)
    typer.echo(f"{different:,} differences" if different else "every view is what the facts make of it")
    if different:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Found:
    """Differences, each with the name of its sandbox; and by sandbox, how many rows of each view were compared, and how many identities
    today's rules would normalize otherwise."""

    compared: dict[str, Mapping[str, int]] = field(default_factory=dict)
    differences: list[tuple[str, Difference]] = field(default_factory=list)
    other_spellings: dict[str, int] = field(default_factory=dict)


async def _verify(settings: Settings, sandbox: str | None, sample: int | None, bar: Progress) -> _Found:
    found = _Found()
    async with open_deployment(settings) as deployment:
        every = await list_sandboxes(deployment.db, await deployment.scope())
        for name in [sandbox] if sandbox else [one.name for one in every]:
            task = bar.add_task(name, total=sample)
            progress = partial(_show, bar, task, found.compared, name)
            scope = await deployment.scope(name)
            differences = await verify_sandbox(deployment.db, scope, Configurations(), sample, progress)
            found.differences.extend((name, one) for one in differences)
            if sample is None:
                await _verify_edges(settings, deployment.db, scope, found)
            found.other_spellings[name] = await count_other_spellings(deployment.db, scope, Configurations())
    return found


async def _verify_edges(settings: Settings, db: Database, scope: Scope, found: _Found) -> None:
    """Compare every projection at each edge with a fresh one."""
    config, name = await Configurations().read(db, scope), scope.sandbox.name
    for data_center, address in settings.edges.items():
        try:
            async with open_edge(address.get_secret_value()) as edge:
                compared, differences = await verify_edge(db, edge, scope, config, data_center)
        except (SchemaError, Unavailable, DatabaseRefused, Timeout) as error:
            compared, differences = 0, [Difference("edge", data_center, error.message)]
        found.compared[name] = {**found.compared.get(name, {}), f"edge {data_center}": compared}
        found.differences.extend((name, one) for one in differences)


def _show(
    bar: Progress, task: TaskID, found: dict[str, Mapping[str, int]], sandbox: str, compared: Mapping[str, int]
) -> None:
    found[sandbox] = compared
    bar.update(task, completed=compared["identities"])
