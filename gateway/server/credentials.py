"""The secrets of a data directory: the secret of our tokens, and an API key for each organization that the command line worked in."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway.errors import SettingsError
from gateway.postgres.file_locks import locked

FILE = "credentials.json"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets that a data directory holds for one organization."""

    jwt_secret: str
    api_key: str


def keep_credentials(data_dir: Path, organization: str) -> Credentials:
    """Return an organization's credentials in a data directory; create missing ones, readable only by the owner. Raises SettingsError."""
    path = data_dir.expanduser() / FILE
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):
            kept = _read(path)
            check_credentials(kept)
            if organization not in kept["apiKeys"]:
                kept["apiKeys"][organization] = secrets.token_urlsafe(24)
                _write(path, orjson.dumps(kept, option=orjson.OPT_INDENT_2))
            return Credentials(kept["jwtSecret"], kept["apiKeys"][organization])
    except OSError as error:
        raise SettingsError(f"GATEWAY_DATA_DIR: cannot keep the credentials in {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} does not hold what it should; move it away, and new credentials are made."
        ) from error


@contextmanager
def put_credentials(data_dir: Path, kept: Any) -> Iterator[None]:
    """Write the credentials of a backup into a data directory; remove them if the block fails and there were none before.

    Raises SettingsError, also where the directory has others.
    """
    path = data_dir.expanduser() / FILE
    is_new = not path.exists()
    try:
        with locked(path.with_suffix(".lock")):
            if not is_new and _read(path) != kept:
                raise SettingsError(f"{path} holds other credentials: move it away, or choose an empty data directory.")
            _write(path, orjson.dumps(kept, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise SettingsError(f"Cannot keep the credentials in {path}: {error.strerror}.") from error
    try:
        yield
    except BaseException:
        if is_new:
            path.unlink(missing_ok=True)
        raise


def check_credentials(kept: Any) -> None:
    """Raise KeyError, TypeError or ValueError for JSON that is no file of credentials."""
    if not all(isinstance(text, str) and text for text in (kept["jwtSecret"], *dict(kept["apiKeys"]).values())):
        raise TypeError("secrets and API keys are texts")


def _read(path: Path) -> Any:
    if path.exists():
        return orjson.loads(path.read_bytes())
    return {"jwtSecret": secrets.token_urlsafe(48), "apiKeys": {}}


def _write(path: Path, content: bytes) -> None:
    """Replace the file; a crash leaves the old or the new one. No link is followed, as the server's user may write to the directory."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
