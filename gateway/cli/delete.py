"""`gateway delete`."""

from functools import partial
from typing import Annotated

import typer

from gateway.cli.options import DataDir, SandboxName, command_group, settings_of
from gateway.cli.removal import AsJson, DryRun, Removal, Yes, batch_of, remove
from gateway.domain.operations.batch_removal import delete_batch, preview_batch
from gateway.domain.operations.dataset_removal import delete_dataset, preview_dataset
from gateway.domain.work.job_kinds import JobKind
from gateway.server.streams.batch_files import find_dataset

DATASET = Removal(find_dataset, preview_dataset, delete_dataset, is_final=True)
BATCH = Removal(batch_of, partial(preview_batch, kind=JobKind.DELETE_BATCH), delete_batch, is_final=True)

delete = command_group()


@delete.callback()
def _delete() -> None:
    """Delete a dataset's data, or a batch, for good.

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
