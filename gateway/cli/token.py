"""`gateway token`."""

from typing import Annotated

import orjson
import typer

from gateway.cli.options import DataDir, Lifetime, lifetime_of, run, settings_of
from gateway.domain.config.tenants import permissions
from gateway.domain.config.tokens import LIFETIME, NewToken, new_token
from gateway.domain.rules.scope import EVERY_SANDBOX, Permission
from gateway.server.client_headers import request_headers
from gateway.server.deployment import open_deployment, system_user
from gateway.server.rotation import drop_former, rotate
from gateway.settings import Settings

ALL_SCOPES = " ".join(Permission)


def token(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="As one JSON object; else as lines, which `curl -H @FILE` reads.")
    ] = False,
    scopes: Annotated[str, typer.Option(help="What the token allows, separated by spaces.")] = ALL_SCOPES,
    sandbox: Annotated[
        str | None, typer.Option(help="Make the token good for this sandbox alone; else it is for all of them.")
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            help="Whom the token is for: named as the author of changes. [default: the system's user]",
            show_default=False,
        ),
    ] = None,
    expires_in: Lifetime = None,
    rotated: Annotated[
        bool,
        typer.Option(
            "--rotate",
            help="First replace the secret that signs tokens. Tokens of the former one stay valid; older ones do not.",
        ),
    ] = False,
    former_dropped: Annotated[
        bool, typer.Option("--drop-former", help="First revoke all tokens that the former secret has signed.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Print the four headers of a request, with a token for a day.

    Works while a server runs on the same data directory, and when none does. The audit log tells of each token, with the id by which the
    mutation `revokeToken` revokes it.
    """
    names = [sandbox] if sandbox else [EVERY_SANDBOX]
    made = new_token(subject or system_user(), permissions(scopes.split()), names, lifetime_of(expires_in) or LIFETIME)
    settings = settings_of(data_dir=data_dir)
    headers = run(_headers(settings, sandbox, made, rotated=rotated, former_dropped=former_dropped))
    if as_json:
        typer.echo(orjson.dumps(headers, option=orjson.OPT_INDENT_2))
    else:
        typer.echo("\n".join(f"{name}: {value}" for name, value in headers.items()))


async def _headers(
    settings: Settings, sandbox: str | None, token: NewToken, *, rotated: bool, former_dropped: bool
) -> dict[str, str]:
    """Return the four headers of a request to a sandbox, by default the default one. Raises NotFound, Conflict, SettingsError."""
    async with open_deployment(settings) as deployment:
        found = await deployment.sandbox(sandbox)
        changed = await rotate(settings, deployment) if rotated else deployment
        changed = await drop_former(settings, changed) if former_dropped else changed
        return await request_headers(changed, found, token)
