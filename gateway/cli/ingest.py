"""`gateway ingest`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.api.ids import global_id
from gateway.cli.options import DataDir, bytes_progress, run, settings_of
from gateway.domain.rules.versions import Mode
from gateway.runtime.garbage_collection import collect_rarely
from gateway.server.deployment import open_deployment
from gateway.server.streams.batch_files import Loaded, load_file
from gateway.server.streams.sources import Source, open_source
from gateway.settings import Settings
from gateway.xdm.violations import Violation


def ingest(
    file: Annotated[
        Path, typer.Argument(help="NDJSON, perhaps packed by gzip; `-` is standard input.", allow_dash=True)
    ],
    *,
    dataset: Annotated[str, typer.Option(help="Id of the dataset, or its name.")],
    sandbox: Annotated[str | None, typer.Option(help="Name of the sandbox; else the default one.")] = None,
    mode: Annotated[Mode, typer.Option(help="How records are meant. Events are always appended.")] = Mode.REPLACE,
    batch_key: Annotated[
        str | None, typer.Option(help="Key of the batch; else the file's content, and for a pipe the rolling batch.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Send only the documents of this file that failed before.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Ingest a file of JSON lines as one batch, and print how many documents were accepted and which failed.

    The batch's key is derived from the file's content: to send it again, after a crash or by mistake, is harmless. Documents that break a
    rule are listed by their lines and kept with their batch, the others are ingested. Once the cause is mended, `--retry-failed` sends those
    again. Exit code 1 when a document failed.
    """
    settings = settings_of(data_dir=data_dir)
    with open_source(file) as source:  # before anything runs, as a named pipe without a writer makes us wait
        loaded = run(
            _ingest(
                *(settings, source),
                dataset=dataset,
                sandbox=sandbox,
                mode=mode,
                key=batch_key,
                retry_failed=retry_failed,
            )
        )
    typer.echo("\n".join(_summary(loaded)))
    if loaded.broken:
        raise loaded.broken
    if loaded.outcome.failed_count:
        raise typer.Exit(1)


async def _ingest(settings: Settings, source: Source, *, dataset: str, sandbox: str | None, **how: Any) -> Loaded:
    collect_rarely()
    with bytes_progress("Ingesting", source.size) as advance:
        async with open_deployment(settings) as deployment:
            to = (deployment.db, await deployment.scope(sandbox), source, dataset)
            return await load_file(*to, **how, advance=advance, settings=settings)


def _summary(loaded: Loaded) -> list[str]:
    outcome = loaded.outcome
    if outcome.batch_id is None:
        return ["nothing to do: there are no documents"]
    counts = f"{outcome.accepted:,} accepted, {outcome.duplicates:,} duplicates, {outcome.failed_count:,} failed"
    listed = [f"  line {line:,}, {one.path}: {one.message}{_others(one.violations[1:])}" for line, one in loaded.failed]
    more = outcome.failed_count - len(listed)
    if loaded.was_complete:
        again = "; `--retry-failed` sends those again that failed" if outcome.failed_count else ""
        return [f"{global_id('Batch', outcome.batch_id)}: {counts} (complete before, so nothing was sent{again})"]
    return [
        f"{global_id('Batch', outcome.batch_id)}: {counts}",
        *listed,
        *([f"  and {more:,} more, kept with the batch"] if more else []),
    ]


def _others(violations: Sequence[Violation]) -> str:
    return f" Also wrong: {', '.join(f'{each.path} ({each.code})' for each in violations)}." if violations else ""
