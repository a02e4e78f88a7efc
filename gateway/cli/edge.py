"""`gateway edge`."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.notes import notes
from gateway.cli.options import DataDir, Host, run, settings_of
from gateway.errors import BadInput
from gateway.postgres.account import server_account
from gateway.postgres.directories import claim_data_directory
from gateway.server import process
from gateway.server.edge.app import create_edge
from gateway.server.edge.deployment import EdgeDeployment, open_edge
from gateway.setting_texts import MAX_PORT
from gateway.settings import Settings

DEFAULT_PORT = 8100
DATA_CENTER = re.compile(r"[A-Z]{2,3}[0-9]{1,2}")
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\s]+):(?P<port>\d{1,5})")

DataCenter = Annotated[
    str, typer.Option(help="Name of the data centre: two or three capital letters and one or two digits, as `VA6`.")
]
EdgePort = Annotated[int, typer.Option(min=0, max=MAX_PORT, help="Port to listen on; 0 takes a free one.")]
Listen = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Where hubs of other machines reach the embedded Postgres, with a password that the data directory keeps.",
        show_default=False,
    ),
]


def edge(
    data_center: DataCenter,
    host: Host = None,
    port: EdgePort = DEFAULT_PORT,
    data_dir: DataDir = None,
    listen: Listen = None,
) -> None:
    """Serve what a hub delivers to a data centre, until SIGTERM or Ctrl-C.

    Prints `ready http://…/graphql` on stdout once look-ups are answered, and `hubs deliver to VA6=postgresql://…`: the hub's setting `GATEWAY_EDGES`.
    Without `GATEWAY_EDGE_DATABASE_URL` it runs a Postgres of its own, by default in a directory of the gateway's data directory.
    """
    code = _code(data_center)
    settings = settings_of(host=host, port=port, data_dir=data_dir)
    if data_dir is None and settings.edge_database_url is None:
        settings = settings.model_copy(update={"data_dir": own_place(settings.data_dir, code)})
    run(serve_edge(settings, code, _address(listen), partial(_announce, code)))


def own_place(data_dir: Path, code: str) -> Path:
    """Return the directory of an edge inside the gateway's data directory, which is made fit for a hub, too. Raises ClusterError."""
    claim_data_directory(data_dir, server_account())
    return data_dir / "edges" / code


async def serve_edge(
    settings: Settings,
    data_center: str,
    listen: tuple[str, int] | None,
    ready: Callable[[str, EdgeDeployment], None],
) -> None:
    """Serve what a hub delivers until SIGTERM or SIGINT; call `ready`, with the address, once look-ups are answered."""
    with process.bind(settings) as port:
        async with open_edge(settings, data_center, listen) as deployment:
            create = partial(create_edge, settings, deployment.dsn)
            url = process.base_url(port)
            await process.serve(settings, create, port, partial(ready, url, deployment))


def _announce(data_center: str, url: str, deployment: EdgeDeployment) -> None:
    """Print a line for programs, and where a hub delivers."""
    typer.echo(f"ready {url}/graphql")
    if deployment.hub_address:
        typer.echo(f"hubs deliver to {data_center}={deployment.hub_address}")
    if deployment.password_file:
        notes.print(f"The password for hubs is in {deployment.password_file}.")


def _code(text: str) -> str:
    """Check the option `DataCenter`. Raises BadInput."""
    if not DATA_CENTER.fullmatch(text):
        raise BadInput("--data-center takes two or three capital letters and one or two digits, as `VA6`.")
    return text


def _address(text: str | None) -> tuple[str, int] | None:
    """Parse the option `Listen`. Raises BadInput."""
    if text is None:
        return None
    read = _ADDRESS.fullmatch(text)
    if read is None or not 0 < int(read["port"]) <= MAX_PORT:
        raise BadInput("--listen takes an address and a port, as in `10.0.0.5:5433`.")
    return read["host"].strip("[]"), int(read["port"])
