"""Backups of a data directory: the contents of the embedded Postgres and the credentials, in one file that only its owner may read.

manifest.json      the format of the file, and the version of the schema
credentials.json   the secret of tokens and the API keys: headers made before work after a restore
database.dump      the output of pg_dump, of one moment
"""

import asyncio
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson

from gateway.domain.work.audit import record_backup
from gateway.errors import BadInput, ClusterError, Conflict, SettingsError
from gateway.postgres.account import server_account
from gateway.postgres.dumps import dump, is_empty, load
from gateway.server.credentials import FILE as CREDENTIALS
from gateway.server.credentials import check_credentials, put_credentials
from gateway.server.deployment import database_address, open_deployment
from gateway.settings import Settings
from gateway.storage.migrations import expected_version, migrations

FORMAT = 1
MANIFEST, DUMP = "manifest.json", "database.dump"
DUMP_FILE = "backup.part"


async def back_up(settings: Settings, file: Path) -> None:
    """Write a backup to a file, while servers go on. Raises SettingsError for a Postgres of one's own, BadInput if the file cannot be written."""
    _check_embedded(settings)
    async with open_deployment(settings) as deployment:
        with _dump_file(settings) as part:
            await record_backup(deployment.db, await deployment.scope())
            await dump(deployment.dsn, part)
            await asyncio.to_thread(_pack, file, part, settings.data_dir.expanduser() / CREDENTIALS)


async def restore(settings: Settings, file: Path) -> None:
    """Fill an empty data directory from a backup. One that fails or is interrupted leaves nothing in the database, and may be repeated.

    Raises BadInput for a file that is no backup, Conflict for a data directory that is not empty, ClusterError, SettingsError.
    """
    _check_embedded(settings)
    credentials = await asyncio.to_thread(_read, file)
    async with database_address(settings) as dsn:
        with _dump_file(settings) as part:  # first, as a restore that was killed may have left one
            await _check_empty(dsn, settings)
            with put_credentials(settings.data_dir, credentials):
                await asyncio.to_thread(_unpack, file, part)
                await _load(dsn, part, settings)


def _check_embedded(settings: Settings) -> None:
    if settings.database_url is not None:
        raise SettingsError(
            "GATEWAY_DATABASE_URL names a Postgres of your own: use pg_dump and pg_restore of its release for its schema "
            f"`gateway`, and keep the file {CREDENTIALS} of GATEWAY_DATA_DIR with them."
        )


async def _check_empty(dsn: str, settings: Settings) -> None:
    if not await is_empty(dsn):
        raise Conflict(f"{settings.data_dir} has data already: a backup is restored into an empty data directory.")


async def _load(dsn: str, part: Path, settings: Settings) -> None:
    """Load a dump. Raises Conflict if another restore was faster, such as what a killed one had begun; ClusterError."""
    try:
        await load(dsn, part)
    except ClusterError:
        await _check_empty(dsn, settings)
        raise


@contextmanager
def _dump_file(settings: Settings) -> Iterator[Path]:
    """Yield the path of a file that the server's user may write and read; remove the file after the block."""
    part = settings.data_dir.expanduser().resolve() / DUMP_FILE
    part.unlink(missing_ok=True)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _pack(file: Path, part: Path, credentials: Path) -> None:
    unfinished = file.with_name(f"{file.name}.part")
    try:
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            with tarfile.open(fileobj=out, mode="w") as archive:
                manifest = orjson.dumps({"form": FORMAT, "schema": expected_version()})
                entry = tarfile.TarInfo(MANIFEST)
                entry.size = len(manifest)
                archive.addfile(entry, BytesIO(manifest))
                archive.add(credentials, CREDENTIALS)
                archive.add(part, DUMP)
            out.flush()
            os.fsync(out.fileno())
        unfinished.rename(file)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise BadInput(f"Cannot write {file}: {error.strerror}.") from error


def _read(file: Path) -> Any:
    """Return the credentials in a backup. Raises BadInput for a file that this release cannot restore."""
    try:
        with tarfile.open(file, "r:") as archive:
            manifest, kept = (orjson.loads(_member(archive, name).read()) for name in (MANIFEST, CREDENTIALS))
            form, schema = manifest["form"], manifest["schema"]
            check_credentials(kept)
            _member(archive, DUMP)
    except OSError as error:
        raise BadInput(f"Cannot read {file}: {error.strerror}.") from error
    except (tarfile.TarError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{file} is no backup of a gateway.") from error
    if form != FORMAT or schema not in [one.name for one in migrations()]:
        raise BadInput(f"{file} was made by a newer release, whose schema is {schema!r}.")
    return kept


def _unpack(file: Path, part: Path) -> None:
    account = server_account()
    with tarfile.open(file, "r:") as archive:
        source = _member(archive, DUMP)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            while piece := source.read(1 << 20):
                out.write(piece)
            if account.switches:
                os.fchown(out.fileno(), account.uid, account.gid)


def _member(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found
