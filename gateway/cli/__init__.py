"""The command line: what can be done with a gateway from a shell. Results go to stdout, progress and the log to stderr.

A file per command, imported when the command runs: to print a version or a token, no server is loaded.
Exit codes: 0 done; 1 it could not be done, or something was found wrong; 2 the command or an option is wrong; 130 interrupted.
"""

from gateway.cli.program import app, main

__all__ = ["app", "main"]
