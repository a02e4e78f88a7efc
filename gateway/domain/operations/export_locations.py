"""Locations of exports: the folder of each, in the directory of exports or below a URL that the operator allows.

Every export has a folder of its own, named by its id, so that no two of them write the same file. A file has another name until it is whole.
Nothing that a caller names leads out: no step up, no link, no other host.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, cast
from uuid import UUID

import fsspec

from gateway.domain.rules.scope import Scope
from gateway.errors import Invalid, Unavailable

_STEP: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_=.-]{0,99}")
MAX_STEPS: Final = 10
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
ON_THIS_MACHINE: Final = frozenset({"file", "local"})


def of_sandbox(scope: Scope) -> tuple[str, str]:
    """Return where the exports of a sandbox are in the directory of exports. Gateways of several databases may share one."""
    return str(scope.organization.organization_id), str(scope.sandbox_id)


class Folder(Protocol):
    """Where the files of one export are. All of it blocks: call it in a thread. Everything raises Unavailable where the location fails."""

    def begin(self, name: str) -> BinaryIO:
        """Open a file to be written, under another name."""

    def finish(self, name: str) -> None:
        """Give a file that is whole and closed its name; it replaces one that has that already."""

    def open(self, name: str) -> BinaryIO:
        """Open a file to be read. Raises FileNotFoundError."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove files, as far as they are there, with what was begun of them, and the folder if it is empty then."""


@dataclass(frozen=True, slots=True)
class Locations:
    """The directory of exports, and the prefixes of URLs below which they may be written, too."""

    directory: Path
    allowed: tuple[str, ...] = ()

    def check(self, location: str | None) -> None:
        """Check that exports may be written to a location that somebody named. Raises Invalid."""
        if location is None:
            return
        if _URL.fullmatch(location):
            self._prefix(location)
        else:
            _steps(location)

    def folder_of(self, scope: Scope, job_id: UUID, location: str | None) -> str:
        """Return the folder of an export as it is kept: a path below the directory of exports, or a URL. Raises Invalid."""
        self.check(location)
        if location is not None and _URL.fullmatch(location):
            return f"{location.rstrip('/')}/{job_id}"
        return "/".join([*of_sandbox(scope), *_steps(location), str(job_id)])

    def at(self, folder: str) -> Folder:
        """Return the folder that is kept so. Raises Invalid where URLs such as this one are not allowed any more."""
        matched = _URL.fullmatch(folder)
        if matched is None:
            return _Local(self.directory, tuple(folder.split("/")))
        prefix = self._prefix(folder)
        if matched[1] in ON_THIS_MACHINE:
            return _Local(Path(prefix.partition("://")[2]), tuple(folder.removeprefix(prefix).strip("/").split("/")))
        return _Remote(folder)

    def _prefix(self, url: str) -> str:
        """Return the allowed prefix that a URL is below. Raises Invalid."""
        _, rest = cast("re.Match[str]", _URL.fullmatch(url)).groups()
        for prefix in self.allowed:
            below = url.removeprefix(prefix.rstrip("/"))
            if below != url and (not below or below.startswith("/")) and "::" not in rest:
                _steps(below[1:] or None)
                return prefix.rstrip("/")
        raise Invalid(
            "Exports may not be written there; `GATEWAY_EXPORT_LOCATIONS` says where they may.", path=["location"]
        )


NO_LOCATIONS: Final = Locations(Path("exports"))
"""Below the directory in which a program runs, for those that have no other."""


def _steps(path: str | None) -> list[str]:
    """Return the steps of a path, none for None. Raises Invalid for one that could lead up or elsewhere."""
    steps = [] if path is None else path.split("/")
    if len(steps) > MAX_STEPS or not all(map(_STEP.fullmatch, steps)):
        raise Invalid(
            f"A location is a path of up to {MAX_STEPS} names with `/` between them, of letters, digits and `_=.-`; or a URL that is allowed.",
            path=["location"],
        )
    return steps


@contextmanager
def _reported() -> Iterator[None]:
    """Raise Unavailable where the location fails, without words that may quote a credential."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unavailable(f"The location of the export fails: {error.strerror or type(error).__name__}.") from error
    except Exception as error:  # of the library of whatever is there
        raise Unavailable(f"The location of the export fails ({type(error).__name__}).") from error


@dataclass(frozen=True, slots=True)
class _Local:
    """A folder below a directory of this machine, for us alone to read."""

    root: Path
    steps: tuple[str, ...]

    @property
    def _path(self) -> Path:
        """The folder, if there is no link on the way. Raises Unavailable."""
        path = self.root.joinpath(*self.steps)
        if path.resolve() != self.root.resolve().joinpath(*self.steps):
            raise Unavailable("A link stands on the way to the location of the export.")
        return path

    def begin(self, name: str) -> BinaryIO:
        with _reported():
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            return os.fdopen(os.open(self._path / _unfinished(name), flags, 0o600), "wb")

    def finish(self, name: str) -> None:
        with _reported():
            path = self._path
            for each in (path / _unfinished(name), path):
                if each != path:
                    _sync(each)
            (path / _unfinished(name)).replace(path / name)
            _sync(path)

    def open(self, name: str) -> BinaryIO:
        with _reported():
            return os.fdopen(os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW), "rb")

    def remove(self, names: Sequence[str]) -> None:
        with _reported():
            path = self._path
            for name in names:
                (path / name).unlink(missing_ok=True)
                (path / _unfinished(name)).unlink(missing_ok=True)
            with suppress(OSError):  # there are others, or it is gone
                path.rmdir()


@dataclass(frozen=True, slots=True)
class _Remote:
    """A folder at a URL, as `fsspec` knows such; credentials are those of the environment, as its libraries find them."""

    url: str

    def _found(self) -> tuple[Any, str]:
        files, path = fsspec.core.url_to_fs(self.url)
        files.invalidate_cache()
        return files, path

    def begin(self, name: str) -> BinaryIO:
        with _reported():
            files, path = self._found()
            files.makedirs(path, exist_ok=True)
            return cast("BinaryIO", files.open(f"{path}/{_unfinished(name)}", "wb"))

    def finish(self, name: str) -> None:
        with _reported():
            files, path = self._found()
            files.mv(f"{path}/{_unfinished(name)}", f"{path}/{name}")

    def open(self, name: str) -> BinaryIO:
        with _reported():
            files, path = self._found()
            return cast("BinaryIO", files.open(f"{path}/{name}", "rb"))

    def remove(self, names: Sequence[str]) -> None:
        with _reported():
            files, path = self._found()
            for name in names:
                for each in (name, _unfinished(name)):
                    with suppress(FileNotFoundError):
                        files.rm_file(f"{path}/{each}")
            with suppress(OSError):
                files.rmdir(path)


def _unfinished(name: str) -> str:
    return f".{name}.part"


def _sync(path: Path) -> None:
    """Have the disk keep a file or a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
