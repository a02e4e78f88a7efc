"""`gateway backup`."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import DataDir, run, settings_of
from gateway.server.backups import back_up


def backup(
    file: Annotated[Path, typer.Argument(help="File to write; one of this name is replaced.")], data_dir: DataDir = None
) -> None:
    """Write all that the embedded Postgres holds, and the credentials, to one file.

    The file holds the data of one moment; servers and workers go on meanwhile. It contains people's data, the secret of tokens and the
    API keys, so only its owner may read it. For a Postgres of your own, use its pg_dump.
    """
    run(back_up(settings_of(data_dir=data_dir), file.absolute()))
