"""The real program, in processes of its own, on data directories of its own."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import httpx
import pytest
from data_directories import initialize
from warm import Started, warm

import gateway as package
from gateway.postgres.account import Account
from gateway.postgres.file_locks import acquire, open_lock

GATEWAY = [sys.executable, "-m", "gateway"]
INSTALLED = (Path(package.__file__).parents[1], Path(httpx.__file__).parents[1])  # our code, and what it stands on


def as_user(account: Account) -> tuple[list[str], dict[str, Any]]:
    """Return the program and the options that run it as another user. Skips the test where that user cannot read what it needs."""
    pythons = [Path(sys.executable).resolve(), Path("/usr/bin/python{}.{}".format(*sys.version_info))]
    python = next((path for path in pythons if path.exists() and not account.barrier(path)), None)
    if python is None or any(account.barrier(path) for path in INSTALLED):
        pytest.skip(f"user {account.name} can read neither this Python nor this installation")
    env = environment(PYTHONPATH=os.pathsep.join(map(str, INSTALLED)), HOME="/")
    options = {"env": env, "user": account.uid, "group": account.gid, "extra_groups": [], "cwd": "/"}
    return [str(python), "-m", "gateway"], options


def environment(**more: str) -> dict[str, str]:
    """Return the variables of this process without settings of the gateway, and `more`."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | more


def gateway(
    *arguments: str | Path, program: Sequence[str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end: in a fork of a process that has the program imported, unless `program` starts another."""
    command = [*map(str, arguments)]
    if program is None:
        return _run_warm(command, **{"env": environment()} | options)
    given = {"env": environment(), "capture_output": True, "text": True} | options
    return subprocess.run([*program, *command], check=False, **given)


def _run_warm(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | Path = ".",
    input: str | None = None,  # noqa: A002 (options are those of subprocess.run)
    stdin: int = subprocess.DEVNULL,
    encoding: str = "utf-8",
) -> subprocess.CompletedProcess[str]:
    with TemporaryFile() as told, TemporaryFile() as noted, ExitStack() as stack:
        if input is not None:
            stdin = stack.enter_context(_pipe(input.encode(encoding)))
        elif stdin == subprocess.DEVNULL:
            stdin = stack.enter_context(Path(os.devnull).open()).fileno()
        code = warm().run(arguments, env, Path(cwd).absolute(), [stdin, told.fileno(), noted.fileno()])
        printed = []
        for file in (told, noted):
            file.seek(0)
            printed.append(file.read().decode(encoding))
        return subprocess.CompletedProcess([*GATEWAY, *arguments], code, *printed)


@contextmanager
def _pipe(content: bytes) -> Iterator[int]:
    """The end of a pipe from which this is read, and nothing more: at most what a pipe holds."""
    reads, writes = os.pipe()
    try:
        os.set_blocking(writes, False)
        written = os.write(writes, content)
        os.close(writes)
        assert written == len(content)
        yield reads
    finally:
        os.close(reads)


OF_A_FORK = {"env", "stdin", "stdout", "stderr", "ignored"}
"""The options that a fork can be given; for others a process is started."""


def started_program(
    *arguments: str, program: Sequence[str] = GATEWAY, **options: Any
) -> subprocess.Popen[str] | Started:
    """Start a command and do not wait for its end: a fork as in `gateway`, where that can be."""
    given = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    if program is GATEWAY and given.keys() <= OF_A_FORK:
        return _start_warm(arguments, **given)
    return subprocess.Popen([*program, *arguments], text=True, **given)


def _start_warm(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    stdout: int | IO[str],
    stderr: int | IO[str],
    stdin: int = subprocess.DEVNULL,
    ignored: Sequence[int] = (),
) -> Started:
    files, pipes = [], []
    with ExitStack() as stack:
        for given, is_written in ((stdin, True), (stdout, False), (stderr, False)):
            ours = None
            if given == subprocess.PIPE:
                reads, writes = os.pipe()
                theirs, end = (reads, writes) if is_written else (writes, reads)
                stack.callback(os.close, theirs)
                ours = os.fdopen(end, "w" if is_written else "r")
            elif given == subprocess.DEVNULL:
                theirs = stack.enter_context(Path(os.devnull).open()).fileno()
            else:
                theirs = given if isinstance(given, int) else given.fileno()
            files.append(theirs)
            pipes.append(ours)
        return warm().start(arguments, env, files, pipes, ignored)


def postgres_runs(data_dir: Path) -> bool:
    """Return whether any process of the embedded server is left: each of them holds its lock."""
    lock = open_lock(data_dir / "server.lock")
    try:
        return not acquire(lock, fcntl.LOCK_EX)
    finally:
        os.close(lock)


@dataclass
class Server:
    """A gateway that said that it is ready."""

    process: subprocess.Popen[str] | Started
    data_dir: Path
    url: str
    log: Path
    printed: re.Match[str] | None = None

    @property
    def link(self) -> str:
        """The link to GraphiQL that it printed: `serve` to stderr, which is the log, `demo` to stdout."""
        if self.printed is None:
            assert self.process.stdout is not None
            self.printed = re.search(r"^GraphiQL: (\S+)$", self.log.read_text(), re.MULTILINE) or re.search(
                r"^GraphiQL: (\S+)$", self.process.stdout.readline()
            )
        assert self.printed is not None
        return self.printed[1]

    def headers(self, **options: Any) -> dict[str, str]:
        """Return the headers that `gateway token` prints while the server runs."""
        result = gateway("token", "--json", "--data-dir", self.data_dir, **options)
        assert result.returncode == 0, result.stderr
        headers: dict[str, str] = json.loads(result.stdout)
        return headers

    @cached_property
    def own_headers(self) -> dict[str, str]:
        """Headers with all permissions, cached."""
        return self.headers()

    def client(self) -> httpx.Client:
        """Speaks to it with working headers, over a connection of its own."""
        return httpx.Client(base_url=self.url, headers=self.own_headers, timeout=60)

    def end(self, how: int = signal.SIGTERM) -> int:
        """Send it a signal; the exit code, once it is gone."""
        self.process.send_signal(how)
        return self.process.wait()


@contextmanager
def server(
    data_dir: Path,
    *more: str,
    command: str = "serve",
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    program: Sequence[str] = GATEWAY,
    **options: Any,
) -> Iterator[Server]:
    """Start a gateway on a free port; when the block ends it ends too."""
    log = log or data_dir.with_name(f"{data_dir.name}.log")
    arguments = [command, *more, "--port", "0", "--data-dir", str(data_dir)]
    if not {"GATEWAY_DATABASE_URL", "GATEWAY_EDGE_DATABASE_URL"} & (env or {}).keys() and "user" not in options:
        initialize(data_dir)
    with log.open("a") as stderr:
        given = {"env": env or environment(), "stderr": stderr} | options
        process = started_program(*arguments, program=program, **given)
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready http://"), (line, log.read_text())
        try:
            yield Server(process, data_dir, line.removeprefix("ready ").strip().removesuffix("/graphql"), log)
        finally:
            process.terminate()
