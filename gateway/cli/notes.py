"""The consoles: results go to stdout, messages to people to stderr."""

from rich.console import Console

notes = Console(stderr=True, highlight=False, soft_wrap=True)
results = Console(highlight=False, soft_wrap=True, markup=False)
