"""`gateway serve`."""

from functools import partial

import typer

from gateway.cli.options import DataDir, Host, Port, Workers, run, settings_of
from gateway.domain.config.tokens import new_token
from gateway.domain.rules.scope import Permission
from gateway.server import process
from gateway.server.client_headers import request_headers
from gateway.server.deployment import Deployment, open_deployment, system_user
from gateway.server.http.app import create_app
from gateway.server.http.console import console_link
from gateway.settings import Settings


def serve(host: Host = None, port: Port = None, workers: Workers = None, data_dir: DataDir = None) -> None:
    """Serve the API until SIGTERM or Ctrl-C.

    Prints one line, `ready http://…/graphql`, on stdout once requests are answered. The first start creates what it needs:
    the database, the organization `local` with its sandbox `prod`, an API key and a secret for tokens.
    """
    run(_serve(settings_of(host=host, port=port, workers=workers, data_dir=data_dir)))


async def _serve(settings: Settings) -> None:
    with process.bind(settings) as port:
        async with open_deployment(settings) as deployment:
            await serve_deployment(settings, deployment, port, link_to_stderr=True)


async def serve_deployment(
    settings: Settings, deployment: Deployment, port: process.Port, *, link_to_stderr: bool
) -> None:
    """Serve an open deployment until SIGTERM or SIGINT. Print the address and, if only this machine can reach it, a link to GraphiQL."""
    url = process.base_url(port)
    link = await link_to_console(settings, deployment, url)
    create = partial(create_app, settings, deployment.dsn, deployment.signing_keys)
    await process.serve(settings, create, port, partial(announce, url, link, err=link_to_stderr))


async def link_to_console(settings: Settings, deployment: Deployment, url: str) -> str | None:
    """Return a link to GraphiQL with a token of all permissions; None unless only this machine can reach the server."""
    if not (settings.console and settings.is_loopback):
        return None
    token = new_token(system_user(), Permission)
    return console_link(url, await request_headers(deployment, await deployment.sandbox(None), token))


def announce(url: str, link: str | None, *, err: bool) -> None:
    """Print a line for programs, and for people the link, which contains a token."""
    typer.echo(f"ready {url}/graphql")
    if link:
        typer.echo(f"GraphiQL: {link}", err=err)
