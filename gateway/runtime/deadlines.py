"""Time limits of operations.

A timer for each operation would cost a tenth of a short operation. All operations of a kind have the same limit, so that the one that began
first is due first, and a single timer, set for that one, serves all.
"""

import asyncio
from functools import cached_property
from types import TracebackType
from typing import Self


class Deadlines:
    """The running operations of a kind, in the order in which they are due. Each may take `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[Deadline, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """The running loop, looked up once: that takes a system call."""
        return asyncio.get_running_loop()

    def begin(self) -> "Deadline":
        """Return a context manager for a block of this task that begins now. The block ends with TimeoutError when its time is over.

        Raises RuntimeError outside a task.
        """
        deadline = Deadline(self._running, self._loop, self._seconds)
        self._running[deadline] = None  # it is due after all others
        if self._timer is None:
            self._set_timer()
        return deadline

    def _set_timer(self) -> None:
        """Set the timer for the first operation that is not given up yet; the block of one that is will end."""
        first = next((each.due for each in self._running if not each.is_given_up), None)
        self._timer = None if first is None else self._loop.call_at(first, self._expire)

    def _expire(self) -> None:
        now = self._loop.time()
        for deadline in self._running:
            if deadline.due > now:
                break
            if not deadline.is_given_up:
                deadline.give_up()
        self._set_timer()


class Deadline:
    """The time limit of one operation, which others may give up earlier: its block then ends with TimeoutError.

    `due` is a time of the loop's clock. Faster than `asyncio.timeout`, as nothing is awaited.
    """

    __slots__ = ("_cancelled", "_is_over", "_running", "_task", "due", "is_given_up")

    def __init__(self, running: dict["Deadline", None], loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("only a task can be given up")
        self._task = task
        self._cancelled = task.cancelling()
        self._is_over = False
        self._running = running
        self.due = loop.time() + seconds
        self.is_given_up = False

    def give_up(self) -> None:
        """Cancel what runs in the block, if it has not ended."""
        if not (self._is_over or self.is_given_up):
            self.is_given_up = True
            self._task.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        del self._running[self]
        self._is_over = True
        if not self.is_given_up:
            return
        is_ours = self._task.uncancel() <= self._cancelled  # else somebody cancelled it, too
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError from error
