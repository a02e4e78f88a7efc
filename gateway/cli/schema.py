"""`gateway schema`."""

from difflib import unified_diff
from pathlib import Path
from typing import Annotated

import typer

from gateway.api.schema import print_sdl
from gateway.cli.options import DataDir, run, settings_of
from gateway.domain.config.configuration import Configurations
from gateway.server.deployment import open_deployment
from gateway.settings import Settings

SCHEMA_FILE = Path("schema.graphql")


def schema(
    sandbox: Annotated[str | None, typer.Option(help="The sandbox whose schema it is; else that of a new one.")] = None,
    check: Annotated[bool, typer.Option("--check", help=f"Compare it with the file `{SCHEMA_FILE}` here.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Print the GraphQL schema as SDL; each sandbox has entity types of its own.

    With `--check`, print how it differs from the file `schema.graphql` of the working directory; exit code 1 if it does.
    """
    sdl = run(_sdl(settings_of(data_dir=data_dir), sandbox))
    if not check:
        typer.echo(sdl, nl=False)
        return
    kept = SCHEMA_FILE.read_text("utf-8") if SCHEMA_FILE.is_file() else ""
    if kept != sdl:
        changes = unified_diff(kept.splitlines(), sdl.splitlines(), str(SCHEMA_FILE), "the code", lineterm="")
        typer.echo("\n".join(changes))
        raise typer.Exit(1)


async def _sdl(settings: Settings, sandbox: str | None) -> str:
    """Return the SDL of a sandbox; of a new one, which needs no database, if `sandbox` is None. Raises NotFound."""
    if sandbox is None:
        return print_sdl()
    async with open_deployment(settings) as deployment:
        return print_sdl(await Configurations().read(deployment.db, await deployment.scope(sandbox)))
