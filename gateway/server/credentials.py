"""The secrets of a data directory: those that sign our tokens, and an API key for each organization that the command line worked in.

{"jwtSecret": "ed25519:…", "formerJwtSecret": {"secret": "…", "replacedAt": "2026-01-02T03:04:05+00:00"}, "apiKeys": {"local": "…"}}
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from gateway.errors import Conflict, SettingsError
from gateway.postgres.file_locks import locked
from gateway.server.signing_keys import SigningKey, SigningKeys, new_secret

FILE = "credentials.json"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets that a data directory holds for one organization."""

    signing_keys: SigningKeys
    api_key: str = field(repr=False)


def keep_credentials(data_dir: Path, organization: str, revoked_key: str | None = None) -> Credentials:
    """Return an organization's credentials in a data directory; create missing ones, and an API key in place of a revoked one.

    Raises SettingsError.
    """
    with _changing(data_dir) as kept:
        if kept["apiKeys"].get(organization) in (None, revoked_key):
            kept["apiKeys"][organization] = secrets.token_urlsafe(24)
        return Credentials(_signing_keys(kept), kept["apiKeys"][organization])


def replace_signing_key(data_dir: Path, replaced: SigningKey) -> SigningKeys:
    """Replace the key that signs tokens by a new one, and keep it as the former one. Return both.

    Raises Conflict if `replaced` signs no longer, SettingsError.
    """
    with _changing(data_dir) as kept:
        if kept["jwtSecret"] != replaced.secret:
            raise Conflict("Another command has just replaced the secret.")
        kept["formerJwtSecret"] = {
            "secret": replaced.secret,
            "replacedAt": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        kept["jwtSecret"] = new_secret()
        return _signing_keys(kept)


def drop_former_key(data_dir: Path, dropped: SigningKey) -> None:
    """Remove the former key, if it is this one. Raises SettingsError."""
    with _changing(data_dir) as kept:
        former = _signing_keys(kept).former
        if former == dropped:
            del kept["formerJwtSecret"]


def read_signing_keys(data_dir: Path) -> SigningKeys | None:
    """Read the keys that sign tokens; None where the data directory has none that can be read."""
    try:
        kept = orjson.loads((data_dir.expanduser() / FILE).read_bytes())
        check_credentials(kept)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _signing_keys(kept)


@contextmanager
def _changing(data_dir: Path) -> Iterator[Any]:
    """Yield the credentials, new ones if there are none, and write them after the block if it has changed them. Raises SettingsError.

    Only the owner may read the file. Other processes that change it wait.
    """
    path = data_dir.expanduser() / FILE
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):
            before = orjson.loads(path.read_bytes()) if path.exists() else None
            kept = deepcopy(before) if path.exists() else {"jwtSecret": new_secret(), "apiKeys": {}}
            check_credentials(kept)
            yield kept
            if kept != before:
                _write(path, orjson.dumps(kept, option=orjson.OPT_INDENT_2))
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
            if not is_new and orjson.loads(path.read_bytes()) != kept:
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
    former = [kept["formerJwtSecret"]["secret"]] if "formerJwtSecret" in kept else []
    if not all(
        isinstance(text, str) and text for text in (kept["jwtSecret"], *former, *dict(kept["apiKeys"]).values())
    ):
        raise TypeError("secrets and API keys are texts")


def _signing_keys(kept: Any) -> SigningKeys:
    former = kept.get("formerJwtSecret")
    return SigningKeys(SigningKey(kept["jwtSecret"]), SigningKey(former["secret"]) if former else None)


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
