"""PostGraphile 5 with a Node that runs it, both from npm, in a directory that is kept: nothing of them is in the repository."""

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

HERE = Path(__file__).parent
SERVER, ROWS = HERE / "postgraphile.mjs", HERE / "rows.sql"
OLDEST_NODE, NODE = 22, 24
ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class LeftOutError(Exception):
    """PostGraphile cannot be had here, for the reason that the text says."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An installation of PostGraphile: the command, to which the database's address is added, and what that is, in words."""

    command: tuple[Path | str, ...]
    versions: str


def install(directory: Path) -> Installation:
    """Install what is not there yet. Raises LeftOutError."""
    directory.mkdir(parents=True, exist_ok=True)
    node = _node(shutil.which("node")) or directory / _node_package() / "bin" / "node"
    package = directory / "node_modules" / "postgraphile" / "package.json"
    if not package.exists() or not _node(node):
        wanted = ["postgraphile@5", *([] if _node(shutil.which("node")) else [f"{_node_package().name}@{NODE}"])]
        _npm("install", "--prefix", directory, "--no-audit", "--no-fund", *wanted)
    if not _node(node):
        raise LeftOutError(f"there is no Node {OLDEST_NODE} or newer, and npm brings none that runs here")
    shutil.copy(SERVER, directory)  # where its imports are found
    versions = f"PostGraphile {orjson.loads(package.read_bytes())['version']}, Node {_version(node)}"
    return Installation((node, directory / SERVER.name), versions)


def _node(path: Path | str | None) -> Path | str | None:
    """The program, if it is there and new enough."""
    return path if path and shutil.which(path) and int(_version(path).split(".")[0]) >= OLDEST_NODE else None


def _version(node: Path | str) -> str:
    return subprocess.check_output([node, "--version"], text=True).strip().removeprefix("v")


def _node_package() -> Path:
    return Path("node_modules") / f"node-{sys.platform}-{ARCHITECTURES.get(platform.machine(), platform.machine())}"


def _npm(*arguments: Any) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise LeftOutError("npm is not there to install it")
    done = subprocess.run([npm, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LeftOutError(f"npm cannot install it: {done.stderr.strip()[-300:]}")
