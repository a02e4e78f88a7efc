"""`gateway export`."""

from collections.abc import Callable
from typing import Annotated, Final
from uuid import UUID

import typer
from rich.progress import Progress, TextColumn

from gateway.api.ids import global_id, input_id, key_of
from gateway.cli.jobs import follow
from gateway.cli.notes import notes
from gateway.cli.options import DataDir, SandboxName, progress, run, settings_of
from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.policies import MergePolicy
from gateway.domain.operations.export_jobs import (
    ExportEvents,
    ExportFormat,
    ExportJob,
    ExportRequest,
    create_export_job,
    format_of,
    read_export_jobs,
)
from gateway.domain.operations.export_spool import estimated
from gateway.domain.reading.identities import resolve_xid
from gateway.domain.rules.scope import Scope
from gateway.domain.work.jobs import JobStatus
from gateway.errors import BadInput, NotFound
from gateway.server.deployment import open_deployment
from gateway.server.worker import locations_of, spool_of, working
from gateway.settings import Settings
from gateway.storage.database import Database

ALL: Final = "*"


def export(
    *,
    policy: Annotated[str | None, typer.Option(help="Name or id of the merge policy; else the default one.")] = None,
    where: Annotated[str | None, typer.Option(help="Only people for whom this condition in PQL is true.")] = None,
    fields: Annotated[str | None, typer.Option(help="Which fields of profiles, as a selector; else all.")] = None,
    empty: Annotated[bool, typer.Option("--empty", help="People without records, too.")] = False,
    events: Annotated[
        str | None, typer.Option(help="Their events, too: which fields, as a selector; `*` for all.")
    ] = None,
    events_where: Annotated[str | None, typer.Option(help="Only events for which this condition is true.")] = None,
    subject: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="NAMESPACE VALUE", help="Instead of profiles everything that is stored about one person."),
    ] = None,
    form: Annotated[
        ExportFormat | None,
        typer.Option(
            "--format", case_sensitive=False, help="How files are written; else parquet, or jsonl for a subject."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            help="Where to: a path below the directory of exports, or a URL that `GATEWAY_EXPORT_LOCATIONS` allows."
        ),
    ] = None,
    resume: Annotated[str | None, typer.Option(metavar="ID", help="Go on with this export instead.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say about how many bytes would be read.")] = False,
    sandbox: SandboxName = None,
    data_dir: DataDir = None,
) -> None:
    """Write profiles, and events if they are wanted, or everything that is stored about one person, to files as they are at one instant.

    It is a job, which this command does itself if no server or worker is faster, and follows to its end. If it is interrupted, servers and
    workers go on, and so does `--resume`. Exit code 1 unless it is COMPLETED.
    """
    wanted = _events(events, events_where)
    settings = settings_of(data_dir=data_dir)

    def request(scope: Scope, config: Configuration) -> ExportRequest:
        chosen = config.default_policy if policy is None else _policy(config, policy)
        xid = None if subject is None else resolve_xid(scope, config, *subject)
        return ExportRequest(
            *(chosen.policy_id, chosen.version, format_of(form, xid), output),
            fields=fields,
            where=where,
            empty_profiles=empty,
            events=wanted,
            subject=xid,
        )

    if dry_run:
        about = run(_estimate(settings, sandbox, request))
        typer.echo("of one person" if about is None else f"about {about:,} bytes of people would be read")
        return
    with progress(TextColumn("{task.completed:,.0f} of {task.fields[of]}")) as bar:
        done, folder = run(_export(settings, sandbox, request, resume, bar))
    _say(done, folder)


def _say(done: ExportJob, folder: str) -> None:
    """Print the files of an export that has ended."""
    for file in done.files:
        typer.echo(f"{folder}/{file.path}: {file.rows:,} rows, {file.bytes:,} bytes")
    if done.job.status is not JobStatus.COMPLETED:
        typer.echo(f"{done.job.status}: {done.job.error}" if done.job.error else done.job.status.value)
        raise typer.Exit(1)


def _events(fields: str | None, where: str | None) -> ExportEvents | None:
    """Return which events are wanted. Raises BadInput for a condition on none."""
    if fields is not None:
        return ExportEvents(None if fields == ALL else fields, where=where)
    if where is not None:
        raise BadInput("`--events-where` is of `--events`: say which fields of events, `*` for all.")
    return None


async def _estimate(
    settings: Settings, sandbox: str | None, request: Callable[[Scope, Configuration], ExportRequest]
) -> int | None:
    """Return about how many bytes of people an export would read; None for one about a person."""
    async with open_deployment(settings) as deployment:
        scope = await deployment.scope(sandbox)
        config = await Configurations().read(deployment.db, scope)
        wanted = request(scope, config)
        return (await estimated(deployment.db, scope, config, wanted, most=spool_of(settings))).estimated_bytes


async def _export(
    settings: Settings,
    sandbox: str | None,
    request: Callable[[Scope, Configuration], ExportRequest],
    resume: str | None,
    bar: Progress,
) -> tuple[ExportJob, str]:
    """Make an export, or find the one to resume, follow it to its end, and return it with where its files are."""
    async with open_deployment(settings) as deployment:
        db, scope, configurations = deployment.db, await deployment.scope(sandbox), Configurations()
        if resume is None:
            config = await configurations.read(db, scope)
            wanted = await estimated(db, scope, config, request(scope, config), most=spool_of(settings))
            if wanted.estimated_bytes is not None:
                notes.print(f"About {wanted.estimated_bytes:,} bytes of people are read first.")
            made = await create_export_job(db, scope, config, wanted, locations_of(settings))
            job_id = made.job_id
        else:
            job_id = (await _known(db, scope, input_id(resume, "ExportJob", "resume"))).job_id
        notes.print(f"The export is {global_id('ExportJob', job_id)}; `--resume` goes on with it.")
        async with working(db, configurations, settings):  # beside servers and workers, if any run
            await follow(db, scope, job_id, bar)
        done, locations = await _known(db, scope, job_id), locations_of(settings)
        folder = locations.folder_of(scope, job_id, done.request.location)
        return done, folder if "://" in folder else str(locations.directory / folder)


async def _known(db: Database, scope: Scope, job_id: UUID) -> ExportJob:
    (known,) = await read_export_jobs(db, scope, [job_id])
    if known is None:
        raise NotFound(f"The sandbox {scope.sandbox.name!r} has no export with this id.")
    return known


def _policy(config: Configuration, text: str) -> MergePolicy:
    """Return the policy with this id or this name. Raises NotFound."""
    policy_id = key_of(text, "MergePolicy")
    found = next(
        (one for one in config.policies.values() if text == one.settings.name or one.policy_id == policy_id), None
    )
    if found is None:
        raise NotFound(f"There is no merge policy with the id or name {text!r} in this sandbox.")
    return found
