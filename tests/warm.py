"""A process that has the program imported, and runs commands of `gateway` each in a fork of itself.

To import the program takes longer than most commands. What a command is given and leaves is that of a process started for it:
arguments, variables, directory, stdin, stdout, stderr and exit code.
"""

import atexit
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock

MAX_REQUEST_BYTES = 1 << 20


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
        request = json.dumps([arguments, dict(env), str(cwd)]).encode()
        with self._one_by_one:
            socket.send_fds(self._requests, [request], files)
            return int(self._requests.recv(MAX_REQUEST_BYTES))

    def _end(self) -> None:
        self._requests.close()
        self._process.wait()


@cache
def warm() -> Warm:
    """Return the one of this process, started when it is needed first."""
    return Warm()


def serve(requests: socket.socket) -> None:
    """Fork for each request, tell how the fork ended, and return in the fork, which has become what was requested."""
    while True:
        request, files, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 3)
        if not request:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            become(files, *json.loads(request))
            return
        for file in files:
            os.close(file)
        _, status = os.waitpid(pid, 0)
        requests.send(str(os.waitstatus_to_exitcode(status)).encode())


def become(files: Sequence[int], arguments: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
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
