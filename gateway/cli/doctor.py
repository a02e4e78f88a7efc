"""`gateway doctor`."""

import typer

from gateway.cli.options import DataDir, run, settings_of
from gateway.server.database import connect
from gateway.server.deployment import database_address
from gateway.settings import Settings
from gateway.storage.examination import Examined, examine


def doctor(data_dir: DataDir = None) -> None:
    """Say which kind of store keeps the data, and what is amiss with it.

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
            return await examine(db, dsn, settings.listen_url.get_secret_value() if settings.listen_url else None)
        finally:
            await db.close()
