"""A process that has the program imported, and runs commands and servers of `gateway` each in a fork of itself.

To import the program takes longer than most commands. What a command is given and leaves is that of a process started for it:
arguments, variables, directory, stdin, stdout, stderr and exit code.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import IO, Any, Self

MAX_REQUEST_BYTES = 1 << 20


class Started:
    """A fork that runs by itself, with what tests ask of a `Popen`."""

    def __init__(self, pid: int, ended: int, pipes: Sequence[IO[str] | None]) -> None:
        """`ended`: where its exit code comes when it has ended. `pipes`: our ends of its stdin, stdout and stderr."""
        self.pid, self._ended, self.returncode = pid, ended, None
        self.stdin, self.stdout, self.stderr = pipes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.stdout, self.stderr, self.stdin):
            if pipe is not None:
                pipe.close()
        self.wait()

    def poll(self) -> int | None:
        """Return the exit code, -n when a signal n ended it; None as long as it runs."""
        return self._waited(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended. Raises TimeoutExpired."""
        code = self._waited(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("gateway", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _waited(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            self.returncode = int(os.read(self._ended, MAX_REQUEST_BYTES))
            os.close(self._ended)
        return self.returncode


class Warm:
    """Such a process, as others use it."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._one_by_one = Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self._end)

    def run(self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, files: Sequence[int]) -> int:
        """Run a command to its end and return its exit code, -n when a signal n ended it. `files` become its stdin, stdout and stderr."""
        return self._ask([False, arguments, dict(env), str(cwd)], files)

    def start(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        files: Sequence[int],
        pipes: Sequence[IO[str] | None],
        ignored: Sequence[int] = (),
    ) -> Started:
        """Start a command in this directory, and do not wait for its end.

        `pipes`: our ends of its files, None for one that is no pipe. `ignored`: signals that whoever starts it ignores.
        """
        ended, ends = os.pipe()
        pid = self._ask([True, arguments, dict(env), str(Path.cwd()), ignored], [*files, ends])
        os.close(ends)
        return Started(pid, ended, pipes)

    def _ask(self, request: Sequence[Any], files: Sequence[int]) -> int:
        with self._one_by_one:
            socket.send_fds(self._requests, [json.dumps(request).encode()], files)
            return int(self._requests.recv(MAX_REQUEST_BYTES))

    def _end(self) -> None:
        self._requests.close()
        self._process.wait()


@cache
def warm() -> Warm:
    """Return the one of this process, started when it is needed first."""
    return Warm()


def serve(requests: socket.socket) -> None:
    """Fork for each request, tell its exit code or, of one apart, its process id, and return in the fork, which has become what was requested."""
    while True:
        request, files, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 4)
        if not request:
            os._exit(0)
        is_apart, *requested = json.loads(request)
        pid = os.fork()
        if pid == 0:
            if is_apart:
                run_apart(requests, files)
            become(files[:3], *requested)
            return
        for file in files:
            os.close(file)
        _, status = os.waitpid(pid, 0)
        if not is_apart:
            requests.send(str(os.waitstatus_to_exitcode(status)).encode())


def run_apart(requests: socket.socket, files: Sequence[int]) -> None:
    """Leave the process that forked, and return in another fork, whose process id is told now, and whose exit code when it has ended."""
    if os.fork():
        os._exit(0)
    pid, ends = os.fork(), files[3]
    if pid == 0:
        os.close(ends)
        return
    requests.send(str(pid).encode())
    for file in files[:3]:
        os.close(file)
    _, status = os.waitpid(pid, 0)
    os.write(ends, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def become(
    files: Sequence[int], arguments: Sequence[str], env: Mapping[str, str], cwd: str, ignored: Sequence[int] = ()
) -> None:
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored in the fork, too, where a script runs the tests in its background
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    for standard, file in enumerate(files):
        os.dup2(file, standard)
        os.close(file)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv[1:] = arguments


if __name__ == "__main__":
    from gateway.cli import main, program

    for command in program.COMMANDS:
        import_module(f"gateway.cli.{command}")
    sys.argv[0] = str(Path(program.__file__).parents[1] / "__main__.py")
    with socket.socket(fileno=int(sys.argv[1])) as theirs:
        serve(theirs)
    main()
