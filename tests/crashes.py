"""Work that is killed: nothing of ours runs after it, its transaction is rolled back, and what was committed stays."""

from collections.abc import Awaitable

from gateway.telemetry import Observation, StatementRan, listen


class Killed(BaseException):
    """As by `kill -9`: nothing of ours catches it."""


async def killed_at(number: int, work: Awaitable[object]) -> bool:
    """Whether the work came as far as its statement of that number (from 1), after which it was killed."""
    seen = 0

    def kill(observation: Observation) -> None:
        nonlocal seen
        seen += isinstance(observation, StatementRan)
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
