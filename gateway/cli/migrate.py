"""`gateway migrate`."""

import typer

from gateway.cli.options import DataDir, run, settings_of
from gateway.server.deployment import database_address
from gateway.settings import Settings
from gateway.storage import migrations


def migrate(data_dir: DataDir = None) -> None:
    """Upgrade the database to the newest schema, and print each migration with what it changes.
    `gateway serve` does so by itself when it starts; any number may do it at once.
    """
    run(_migrate(settings_of(data_dir=data_dir)))


async def _migrate(settings: Settings) -> None:
    async with database_address(settings) as dsn:
        _tell(await migrations.migrate(dsn))
        await migrations.spread(dsn, lambda table: typer.echo(f"spreading  {table}"))


def _tell(done: migrations.Migrated) -> None:
    for one in done.before:
        typer.echo(f"was there  {one.name}: {one.sentence}")
    for one in done.applied:
        typer.echo(f"{'new' if done.is_new else 'applied':<9}  {one.name}: {one.sentence}")
    typer.echo(f"the schema is {done.version}" + ("" if done.applied else ", the newest: nothing to do"))
