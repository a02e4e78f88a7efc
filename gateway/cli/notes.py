"""The consoles: results go to stdout, messages to people to stderr."""

import sys
from typing import Final

from rich.console import Console

PIPE_COLUMNS: Final = 1_000
"""The width of results that no terminal shows: a program reads a line of a table as one line."""

notes = Console(stderr=True, highlight=False, soft_wrap=True)
results = Console(highlight=False, soft_wrap=True, markup=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
