"""Work that is killed: no code of ours runs after it, its transaction is rolled back, and earlier commits stay."""

from collections.abc import Awaitable

from gateway.telemetry import Observation, StatementRan, listen

BESIDE = "maintenance.notify"
"""The statement that a process sends beside its work, after a commit: it is no part of it."""


class Killed(BaseException):
    """The end of work as by `kill -9`: no code of ours catches it."""


async def killed_at(number: int, work: Awaitable[object], named: str = "") -> bool:
    """Kill the work after its statement of this number, counted from 1, of all or of those with this name; return whether it ran so many."""
    seen = 0

    def kill(observation: Observation) -> None:
        nonlocal seen
        if isinstance(observation, StatementRan) and observation.name != BESIDE:
            seen += named in ("", observation.name)
            if seen == number:
                stop()
                raise Killed

    stop = listen(kill)
    try:
        await work
    except Killed:
        return True
    stop()
    return False
