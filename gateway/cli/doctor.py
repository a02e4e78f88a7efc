"""`gateway doctor`."""

from collections.abc import AsyncIterator
from dataclasses import replace

import typer

from gateway.cli.options import DataDir, run, settings_of
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import list_own_scopes
from gateway.domain.operations.projection_store import open_edge
from gateway.errors import DatabaseRefused, SchemaError, Timeout, Unavailable
from gateway.server.database import connect
from gateway.server.deployment import database_address
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.examination import Examined, examine


def doctor(data_dir: DataDir = None) -> None:
    """Say which kind of store keeps the data, and what is amiss with it, with rows of the configuration, and with the edges of `GATEWAY_EDGES`.

    Nothing is written. Exit code 1 when something is amiss.
    """
    found = run(_examine(settings_of(data_dir=data_dir)))
    typer.echo(f"store   {found.kind}")
    typer.echo(f"schema  {found.schema}")
    for one in found.amiss:
        typer.echo(f"amiss   {one}")
    if found.amiss:
        raise typer.Exit(1)
    typer.echo("nothing is amiss")


async def _examine(settings: Settings) -> Examined:
    async with database_address(settings) as dsn:
        db = await connect(settings, dsn)
        try:
            found = await examine(db, dsn, settings.listen_url.get_secret_value() if settings.listen_url else None)
            if found.is_current:
                found = replace(found, amiss=(*found.amiss, *await _faults(db)))
        finally:
            await db.close()
    return replace(found, amiss=(*found.amiss, *[each async for each in _amiss_at_edges(settings)]))


async def _faults(db: Database) -> list[str]:
    """List what is wrong with rows of the configuration, by sandbox."""
    found, configurations = list[str](), Configurations()
    for scope in await list_own_scopes(db):
        config = await configurations.read(db, scope)
        where = f"Sandbox {scope.sandbox.name} of {scope.organization.code}"
        found += [f"{where}: {fault}" for fault in config.faults]
    return found


async def _amiss_at_edges(settings: Settings) -> AsyncIterator[str]:
    """Say of each edge that cannot be delivered to why that is."""
    for data_center, address in settings.edges.items():
        try:
            async with open_edge(address.get_secret_value()):
                pass
        except (SchemaError, Unavailable, DatabaseRefused, Timeout) as error:
            yield f"Edge {data_center}: {error.message}"
