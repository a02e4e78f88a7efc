"""`gateway token`."""

from typing import Annotated

import orjson
import typer

from gateway.cli.options import DataDir, run, settings_of
from gateway.domain.config.tenants import permissions
from gateway.domain.rules.scope import EVERY_SANDBOX, Permission
from gateway.server.client_headers import request_headers
from gateway.server.deployment import open_deployment
from gateway.settings import Settings

ALL_SCOPES = " ".join(Permission)


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
    headers = run(_headers(settings_of(data_dir=data_dir), scopes, sandbox))
    if as_json:
        typer.echo(orjson.dumps(headers, option=orjson.OPT_INDENT_2))
    else:
        typer.echo("\n".join(f"{name}: {value}" for name, value in headers.items()))


async def _headers(settings: Settings, scopes: str, sandbox: str | None) -> dict[str, str]:
    """Return the four headers, with a token for one sandbox or for all. Raises Invalid for an unknown scope, NotFound."""
    allowed = permissions(scopes.split())
    async with open_deployment(settings) as deployment:
        found = await deployment.sandbox(sandbox)
        return request_headers(deployment, found, sorted(allowed), [found.name] if sandbox else [EVERY_SANDBOX])
