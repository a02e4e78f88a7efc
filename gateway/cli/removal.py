"""What `gateway delete` and `gateway revert` share: what would go is counted, the job is made, done and followed to its end."""

import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import typer
from rich.progress import Progress, TextColumn

from gateway.api.ids import global_id, input_id, naming_jobs
from gateway.cli.jobs import counted, follow
from gateway.cli.options import progress, run
from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.rules.names import camel_case
from gateway.domain.rules.scope import Scope
from gateway.domain.work.jobs import Job, JobStatus
from gateway.domain.work.receipts import DeletionReceipt
from gateway.errors import BadInput
from gateway.server.deployment import open_deployment
from gateway.server.worker import working
from gateway.settings import Settings
from gateway.storage.database import Database

DryRun = Annotated[bool, typer.Option("--dry-run", help="Count what would go, and change nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, with names as in the API.")]
Yes = Annotated[
    bool, typer.Option("--yes", help="Do not ask. Without a terminal nothing is deleted unless this is given.")
]


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Removal(Generic[T]):
    """What a command removes: how what it is given is found, what would go with it, and what starts the job.

    `is_final`: what is gone cannot come back by sending it again, so that the command asks. `counts_people`: the preview tells identities and people
    who would vanish, too.
    """

    find: Callable[[Configuration, str], T]
    preview: Callable[[Database, Scope, T], Awaitable[DeletionReceipt]]
    start: Callable[[Database, Scope, T], Awaitable[Job]]
    is_final: bool
    counts_people: bool = False


def batch_of(_: Configuration, text: str) -> UUID:
    """Return the key of the batch with this id. Raises NotFound."""
    key: UUID = input_id(text, "Batch", text)
    return key


def remove(
    removal: Removal[T],
    settings: Settings,
    text: str,
    sandbox: str | None,
    *,
    dry_run: bool,
    as_json: bool,
    yes: bool = True,
) -> None:
    """Remove what the text names, follow the job to its end, and print its receipt. Exit code 1 unless it is COMPLETED."""
    with progress(TextColumn("{task.completed:,.0f} of {task.fields[of]}")) as bar:
        asks = removal.is_final and not yes
        preview = _preview(removal, settings, text, sandbox) if dry_run else None
        job, receipt = run(preview or _remove(removal, settings, text, sandbox, bar, asks=asks))
    typer.echo(_json(job, receipt) if as_json else _line(job, receipt, counts_people=removal.counts_people))
    if job and job.status is not JobStatus.COMPLETED:
        raise typer.Exit(1)


async def _preview(
    removal: Removal[T], settings: Settings, text: str, sandbox: str | None
) -> tuple[Job | None, DeletionReceipt]:
    async with open_deployment(settings) as deployment:
        db, scope = deployment.db, await deployment.scope(sandbox)
        key = removal.find(await Configurations().read(db, scope), text)
        return None, await removal.preview(db, scope, key)


async def _remove(
    removal: Removal[T], settings: Settings, text: str, sandbox: str | None, bar: Progress, *, asks: bool
) -> tuple[Job | None, DeletionReceipt]:
    async with open_deployment(settings) as deployment:
        db, scope, configurations = deployment.db, await deployment.scope(sandbox), Configurations()
        key = removal.find(await configurations.read(db, scope), text)
        if asks:
            _confirm(text, await removal.preview(db, scope, key), bar)
        with naming_jobs():
            job = await removal.start(db, scope, key)
        async with working(db, configurations, settings):  # beside servers and workers, if any run
            job = await follow(db, scope, job.job_id, bar)
        return job, job.receipt or DeletionReceipt()


def _confirm(text: str, there_is: DeletionReceipt, bar: Progress) -> None:
    """Ask at a terminal whether this is to be deleted. Raises BadInput where nobody can be asked."""
    if not sys.stdin.isatty():
        raise BadInput("This deletes for good: say `--yes`, since there is no terminal to ask at.")
    bar.stop()
    typer.confirm(f"{text}: {counted(there_is)}. Delete this for good?", abort=True, err=True)
    bar.start()


def _line(job: Job | None, receipt: DeletionReceipt, *, counts_people: bool) -> str:
    if job is None:
        rest = "" if counts_people else "; identities and people who vanish with it are not counted"
        return f"would go: {counted(receipt)}{rest}"
    return f"{job.status}: {job.error or f'{counted(receipt)} went'}"


def _json(job: Job | None, receipt: DeletionReceipt) -> str:
    told: dict[str, Any] = {"isDryRun": job is None}
    if job:
        told |= {"id": global_id("SystemJob", job.job_id), "type": job.kind, "status": job.status, "error": job.error}
    return json.dumps(told | {"receipt": {camel_case(name): count for name, count in asdict(receipt).items()}})
