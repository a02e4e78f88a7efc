"""The console for messages to people: stderr, so that stdout holds results alone."""

from rich.console import Console

notes = Console(stderr=True, highlight=False, soft_wrap=True)
