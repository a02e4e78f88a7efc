"""What commands share: options, reading settings, running work, showing progress."""

import asyncio
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
import uvloop

from gateway.errors import BadInput
from gateway.runtime.late import late
from gateway.server.logs import configure_logs
from gateway.settings import Settings, read_settings

if TYPE_CHECKING:
    from rich import progress as bars

    from gateway.cli import notes as consoles
else:
    bars, consoles = late("rich.progress"), late("gateway.cli.notes")

T = TypeVar("T")

DataDir = Annotated[
    Path | None,
    typer.Option(help="Directory of the embedded Postgres and the credentials; `GATEWAY_DATA_DIR` sets it too."),
]
SandboxName = Annotated[str | None, typer.Option("--sandbox", help="The sandbox of this name; else the default one.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]", show_default=False)]
Port = Annotated[
    int | None, typer.Option(help="Port to listen on; 0 takes a free one. [default: 8000]", show_default=False)
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Server processes, best one per core. [default: 1]", show_default=False)
]
Lifetime = Annotated[
    str | None,
    typer.Option(help="How long it is valid: a number and one of s, m, h, d, as in `90d`.", show_default=False),
]

MAX_LIFETIME = timedelta(days=366)
_LIFETIME = re.compile(r"([1-9]\d{0,8})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def command_group() -> typer.Typer:
    """Return an empty group of commands, such as `gateway jobs`, which shows its help where none of them is named."""
    return typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown"
    )


def lifetime_of(text: str | None) -> timedelta | None:
    """Parse the option `Lifetime`, None for None. Raises BadInput for another text, and for more than a year."""
    if text is None:
        return None
    read = _LIFETIME.fullmatch(text)
    lifetime = timedelta(**{_UNITS[read[2]]: int(read[1])}) if read else MAX_LIFETIME * 2
    if lifetime > MAX_LIFETIME:
        raise BadInput("--expires-in takes a number and a unit, as in `90d` or `12h`: at most 366 days.")
    return lifetime


def settings_of(**given: Any) -> Settings:
    """Return the settings, overridden by the options that are not None, and configure the log by them. Raises SettingsError."""
    settings = read_settings(**given)
    configure_logs(settings.log_level)
    return settings


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run work to its end and return its result.

    SIGTERM cancels it as Ctrl-C does, so that what it opened is closed, also where Ctrl-C is ignored, as behind `&`. Raises KeyboardInterrupt.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_interruptible(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, before)


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(task.cancel))
    return await task


def progress(*columns: Any) -> "bars.Progress":
    """Return a progress bar on stderr with these columns added; it shows nothing where stderr is no terminal."""
    shown = (bars.TextColumn("{task.description}"), bars.BarColumn(), *columns, bars.TimeRemainingColumn())
    return bars.Progress(*shown, console=consoles.notes, disable=not consoles.notes.is_terminal)


@contextmanager
def bytes_progress(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show, on a terminal, how many of `total` bytes are done as long as the block lasts; it tells that by the function that this yields."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with progress(bars.DownloadColumn()) as bar:
        task = bar.add_task(description, total=total)
        yield lambda more: bar.advance(task, more)
