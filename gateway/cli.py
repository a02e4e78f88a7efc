"""The command line: what can be done with a gateway from a shell. Results go to stdout, progress and the log to stderr.

Exit codes: 0 done; 1 it could not be done, or something was found wrong; 2 the command itself is wrong; 130 interrupted.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer
import uvloop
from rich.console import Console
from rich.text import Text

from gateway.api.console import console_link
from gateway.domain.tenants import Permission, permissions
from gateway.errors import GatewayError
from gateway.server import serving
from gateway.server.logs import configure_logs
from gateway.server.store import Store, database_address, open_store
from gateway.settings import Settings, read_settings
from gateway.storage.migrations import migrate as migrate_database

T = TypeVar("T")

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
ALL_SCOPES = " ".join(Permission)


@app.callback(invoke_without_command=True)
def gateway(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if show_version:
        typer.echo(f"gateway {version('profile-gateway')}")
        raise typer.Exit


@app.command()
def serve(host: Host = None, port: Port = None, data_dir: DataDir = None) -> None:
    """Serve the API until SIGTERM or Ctrl-C.

    Prints one line, `ready http://…/graphql`, on stdout once requests are answered. The first start makes what it needs:
    the database, the organization `local` with its sandbox `prod`, an API key and a secret for tokens.
    """
    _run(_serve(_settings(host=host, port=port, data_dir=data_dir)))


@app.command()
def token(
    as_json: Annotated[
        bool, typer.Option("--json", help="As one JSON object; else as lines that `curl -H @-` reads.")
    ] = False,
    scopes: Annotated[str, typer.Option(help="What the token allows, separated by spaces.")] = ALL_SCOPES,
    sandbox: Annotated[
        str | None, typer.Option(help="A token for this sandbox alone; else one for all, used in the default one.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print the four request headers, with a token for a day.

    Works while a server runs on the same data directory, and when none does.
    """
    headers = _run(_headers(_settings(data_dir=data_dir), scopes, sandbox))
    if as_json:
        typer.echo(orjson.dumps(headers, option=orjson.OPT_INDENT_2))
    else:
        typer.echo("\n".join(f"{name}: {value}" for name, value in headers.items()))


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the newest schema, and print what was applied.

    `gateway serve` does so by itself when it starts; any number may do it at once.
    """
    applied = _run(_migrate(_settings(data_dir=data_dir)))
    typer.echo("\n".join(applied) or "nothing to do: the schema is the newest")


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
    """Run to the end; SIGTERM interrupts as Ctrl-C does, so that what was opened is closed."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def _serve(settings: Settings) -> None:
    bound = serving.bind(settings)
    async with open_store(settings) as store:
        link = await _link(settings, store, serving.base_url(bound))
        await serving.serve(settings, store, bound, lambda url: _announce(url, link))


def _announce(url: str, link: str | None) -> None:
    typer.echo(f"ready {url}/graphql")
    sys.stdout.flush()
    if link:
        notes.print(f"GraphiQL: {link}", markup=False)


async def _link(settings: Settings, store: Store, url: str) -> str | None:
    """A link to GraphiQL with headers that work; only where nobody else can reach it."""
    if not (settings.console and settings.is_loopback):
        return None
    return console_link(url, store.headers(await store.sandbox(None), Permission))


async def _headers(settings: Settings, scopes: str, sandbox: str | None) -> dict[str, str]:
    allowed = permissions(scopes.split())
    async with open_store(settings) as store:
        found = await store.sandbox(sandbox)
        return store.headers(found, sorted(allowed), [found.name] if sandbox else ["*"])


async def _migrate(settings: Settings) -> list[str]:
    async with database_address(settings) as dsn:
        return await migrate_database(dsn)
