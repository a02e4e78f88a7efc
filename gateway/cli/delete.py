"""`gateway delete`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.erasure import erasure_of
from gateway.cli.identity_files import read_identities
from gateway.cli.options import DataDir, SandboxName, command_group, settings_of
from gateway.cli.removal import AsJson, DryRun, Removal, Yes, batch_of, remove
from gateway.domain.operations.batch_removal import delete_batch, preview_batch
from gateway.domain.operations.dataset_removal import delete_dataset, preview_dataset
from gateway.domain.operations.erasure import MAX_IDENTITIES, DeleteScope
from gateway.domain.work.job_kinds import JobKind
from gateway.errors import BadInput
from gateway.server.streams.batch_files import find_dataset

DATASET = Removal(find_dataset, preview_dataset, delete_dataset, is_final=True)
BATCH = Removal(batch_of, partial(preview_batch, kind=JobKind.DELETE_BATCH), delete_batch, is_final=True)

delete = command_group()


@delete.callback()
def _delete() -> None:
    """Delete a dataset's data, a batch, or people, for good.

    It is a job, which this command does itself if no server or worker is faster, and follows to its end. If it is interrupted, servers and
    workers go on; `gateway jobs cancel` ends it.
    """


@delete.command("dataset")
def dataset_(
    dataset: Annotated[str, typer.Argument(metavar="NAME|ID", help="Name or id of the dataset.")],
    *,
    sandbox: SandboxName = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    yes: Yes = False,
    data_dir: DataDir = None,
) -> None:
    """Delete all that came into a dataset, with its batches; the dataset stays, empty. Exit code 1 unless it is COMPLETED."""
    settings = settings_of(data_dir=data_dir)
    remove(DATASET, settings, dataset, sandbox, dry_run=dry_run, as_json=as_json, yes=yes)


@delete.command()
def batch(
    batch_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the batch.")],
    *,
    sandbox: SandboxName = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    yes: Yes = False,
    data_dir: DataDir = None,
) -> None:
    """Delete all that came with a batch, and refuse its key from then on. Exit code 1 unless it is COMPLETED."""
    settings = settings_of(data_dir=data_dir)
    remove(BATCH, settings, batch_id, sandbox, dry_run=dry_run, as_json=as_json, yes=yes)


@delete.command()
def profile(
    namespace: Annotated[str | None, typer.Argument(metavar="NAMESPACE", help="Code of a namespace.")] = None,
    values: Annotated[
        list[str] | None, typer.Argument(metavar="VALUE…", help="Values in it, one for each person.")
    ] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            help="Identities, one a line: `namespace,value`, or a JSON object with both; `-` is standard input."
        ),
    ] = None,
    reach: Annotated[
        DeleteScope, typer.Option("--scope", help="All identities of these people, or the named ones alone.")
    ] = DeleteScope.GRAPH,
    sandbox: SandboxName = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    yes: Yes = False,
    data_dir: DataDir = None,
) -> None:
    """Erase up to 1,000 people: what is stored under their identities goes for good, and is refused from then on. Exit code 1 unless it is COMPLETED."""
    identities = _given(namespace, values or (), file)
    settings, text = settings_of(data_dir=data_dir), f"{len(identities):,} identities"
    remove(erasure_of(identities, reach), settings, text, sandbox, dry_run=dry_run, as_json=as_json, yes=yes)


def _given(namespace: str | None, values: Sequence[str], file: Path | None) -> list[tuple[str, str]]:
    """Return the namespaces and values that a command names, or that its file lists. Raises BadInput."""
    named = [(namespace, value) for value in values] if namespace else []
    if bool(named) == bool(file):
        raise BadInput("Name a namespace and values in it, or a `--file` of identities.")
    return read_identities(file, MAX_IDENTITIES) if file else named
