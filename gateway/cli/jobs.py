"""`gateway jobs`."""

import asyncio
from dataclasses import asdict
from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer
from rich.progress import Progress, TextColumn
from rich.table import Table

from gateway.api.ids import global_id, input_id, key_of
from gateway.cli.notes import results
from gateway.cli.options import DataDir, SandboxName, command_group, progress, run, settings_of
from gateway.domain.rules.keyset import MAX_PAGE_SIZE, Window
from gateway.domain.rules.scope import Scope
from gateway.domain.work.job_kinds import RULES, About, JobKind
from gateway.domain.work.job_lists import NEWEST_FIRST, JobFilter, list_jobs, read_jobs
from gateway.domain.work.jobs import Job, JobStatus, cancel_job
from gateway.domain.work.receipts import DeletionReceipt
from gateway.errors import Conflict, NotFound
from gateway.server.deployment import open_deployment
from gateway.settings import Settings
from gateway.storage.database import Database

LOOK_SECONDS = 0.2
"""Between two looks at a job that is watched."""

WORDS = {About.SANDBOX: "the sandbox", About.PROFILE: "people", About.EXPORT: "people"}
"""What a job is about that works on no object with an id."""

JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the job, as `gateway jobs list` shows it.")]

jobs = command_group()


@jobs.callback()
def _jobs() -> None:
    """List, show, watch and cancel jobs: work that takes longer than a request.

    Servers do jobs beside requests, and so does `gateway worker`. These commands do none: they tell what is there, also while no server
    runs on the data directory.
    """


@jobs.command("list")
def list_(
    *,
    status: Annotated[list[JobStatus] | None, typer.Option(help="Only jobs of this status; may be repeated.")] = None,
    kind: Annotated[
        list[JobKind] | None,
        typer.Option(
            "--type", help="Only jobs of this type; may be repeated. Without it, recurring jobs are left out."
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=1, max=MAX_PAGE_SIZE, help="How many, the newest first.")] = 50,
    sandbox: SandboxName = None,
    data_dir: DataDir = None,
) -> None:
    """List jobs of a sandbox, the newest first."""
    wanted = JobFilter(status, kind)
    results.print(_table(run(_list(settings_of(data_dir=data_dir), sandbox, wanted, size))))


@jobs.command()
def show(job_id: JobId, sandbox: SandboxName = None, data_dir: DataDir = None) -> None:
    """Show all that is known of a job."""
    results.print(_details(run(_show(settings_of(data_dir=data_dir), sandbox, _key(job_id)))))


@jobs.command()
def watch(job_id: JobId, sandbox: SandboxName = None, data_dir: DataDir = None) -> None:
    """Follow a job to its end. Exit code 0 when it is COMPLETED, 1 when it has FAILED or was CANCELLED."""
    with progress(TextColumn("{task.completed:,.0f} of {task.fields[of]}")) as bar:
        job = run(_watch(settings_of(data_dir=data_dir), sandbox, _key(job_id), bar))
    results.print(f"{job.status}: {job.error}" if job.error else job.status.value)
    if job.status is not JobStatus.COMPLETED:
        raise typer.Exit(1)


@jobs.command()
def cancel(job_id: JobId, sandbox: SandboxName = None, data_dir: DataDir = None) -> None:
    """Cancel a job: what it has done stays, nothing more is done. Jobs on whose end others depend cannot be cancelled."""
    run(_cancel(settings_of(data_dir=data_dir), sandbox, _key(job_id)))


async def _list(settings: Settings, sandbox: str | None, wanted: JobFilter, size: int) -> list[Job]:
    async with open_deployment(settings) as deployment:
        scope = await deployment.scope(sandbox)
        return (await list_jobs(deployment.db, scope, wanted, NEWEST_FIRST, Window(size))).items


async def _show(settings: Settings, sandbox: str | None, job_id: UUID) -> Job:
    async with open_deployment(settings) as deployment:
        return await _read(deployment.db, await deployment.scope(sandbox), job_id)


async def _watch(settings: Settings, sandbox: str | None, job_id: UUID, bar: Progress) -> Job:
    async with open_deployment(settings) as deployment:
        scope = await deployment.scope(sandbox)
        job = await _read(deployment.db, scope, job_id)
        if RULES[job.kind].every is not None:
            raise Conflict("This job comes again by itself and has no end; `gateway jobs show` tells of its last run.")
        return await follow(deployment.db, scope, job_id, bar)


async def follow(db: Database, scope: Scope, job_id: UUID, bar: Progress) -> Job:
    """Show how a job gets on, with its counts in the field `of` of the bar's task, and return it once it has ended. Raises NotFound."""
    job = await _read(db, scope, job_id)
    task = bar.add_task(job.kind, total=job.total, of="?")
    while job.is_open:
        bar.update(task, completed=job.done, total=job.total, of="?" if job.total is None else f"{job.total:,}")
        await asyncio.sleep(LOOK_SECONDS)
        job = await _read(db, scope, job_id)
    return job


async def _cancel(settings: Settings, sandbox: str | None, job_id: UUID) -> None:
    async with open_deployment(settings) as deployment:
        await cancel_job(deployment.db, await deployment.scope(sandbox), job_id)


async def _read(db: Database, scope: Scope, job_id: UUID) -> Job:
    (job,) = await read_jobs(db, scope, [job_id])
    if job is None:
        raise NotFound(f"The sandbox {scope.sandbox.name!r} has no job with this id.")
    return job


def _key(job_id: str) -> UUID:
    of_export: UUID | None = key_of(job_id, "ExportJob")
    key: UUID = of_export or input_id(job_id, "SystemJob", job_id)
    return key


def _table(found: list[Job]) -> Table:
    table = Table("id", "type", "status", "done", "attempts", "created (UTC)", "by", "error", box=None, pad_edge=False)
    for job in found:
        made = (_time(job.created_at), job.created_by or "-", job.error or "-")
        table.add_row(_id(job), job.kind.value, job.status.value, _done(job), str(job.attempts), *made)
    return table


def _details(job: Job) -> Table:
    about = RULES[job.kind].about
    rows = {
        "id": _id(job),
        "type": job.kind.value,
        "about": WORDS.get(about) or global_id(about.value, job.subject),
        "status": job.status.value,
        "done": _done(job),
        "records processed": f"{job.metrics.records:,}",
        "profiles affected": f"{job.metrics.profiles:,}",
        "deleted": counted(job.receipt) if job.receipt else "-",
        "seconds": f"{job.seconds:,.1f}",
        "attempts": str(job.attempts),
        "error": job.error or "-",
        "created (UTC)": f"{_time(job.created_at)} by {job.created_by or '-'}",
        "started (UTC)": _time(job.started_at),
        "updated (UTC)": _time(job.updated_at),
    }
    table = Table.grid("", "", padding=(0, 2))
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def counted(receipt: DeletionReceipt) -> str:
    """Return what a receipt counts, as part of a sentence."""
    counted = {name: count for name, count in asdict(receipt).items() if isinstance(count, int)}
    counts = [f"{count:,} {name.replace('_', ' ')}" for name, count in counted.items() if count]
    parts = [", ".join(counts) or "nothing"]
    if receipt.export_locations:
        parts.append(f"exports were at {', '.join(receipt.export_locations)}, where copies are yours to delete")
    if receipt.unconfirmed_data_centers:
        parts.append(f"the edges in {', '.join(receipt.unconfirmed_data_centers)} left before they confirmed it")
    return "; ".join(parts)


def _id(job: Job) -> str:
    return global_id("ExportJob" if job.kind is JobKind.EXPORT_PROFILES else "SystemJob", job.job_id)


def _done(job: Job) -> str:
    share = "" if job.progress is None else f" ({job.progress:.0%})"
    return f"{job.done:,} of {'?' if job.total is None else f'{job.total:,}'}{share}"


def _time(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"
