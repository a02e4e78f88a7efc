"""`gateway revert`."""

from functools import partial
from typing import Annotated

import typer

from gateway.cli.options import DataDir, SandboxName, settings_of
from gateway.cli.removal import AsJson, DryRun, Removal, batch_of, remove
from gateway.domain.operations.batch_removal import preview_batch, revert_batch
from gateway.domain.work.job_kinds import JobKind

BATCH = Removal(batch_of, partial(preview_batch, kind=JobKind.REVERT_BATCH), revert_batch, is_final=False)


def revert(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH", help="Id of the batch.")],
    *,
    sandbox: SandboxName = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Take a complete batch back, as if it had never been sent: earlier versions of records come back, and its key can be used again.

    It is a job, which this command does itself if no server or worker is faster, and follows to its end. Exit code 1 unless it is COMPLETED.
    """
    remove(BATCH, settings_of(data_dir=data_dir), batch_id, sandbox, dry_run=dry_run, as_json=as_json)
