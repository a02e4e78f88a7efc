"""`gateway restore`."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import DataDir, run, settings_of
from gateway.server.backups import restore as restore_backup


def restore(
    file: Annotated[Path, typer.Argument(help="File that `gateway backup` wrote.")], data_dir: DataDir = None
) -> None:
    """Fill an empty data directory from a backup; headers that were made before work again.

    A directory that has data is refused. An interrupted restore leaves nothing in the database and can be repeated. A backup of an older
    release is brought to the newest schema by the next command.
    """
    run(restore_backup(settings_of(data_dir=data_dir), file.absolute()))
