"""Giving up what takes too long.

A timer for each operation costs a tenth of a short one. All of them have the same time, so the one that began first is due first, and a
single timer, set for that one, does for all.
"""

import asyncio
from types import TracebackType
from typing import Any, Self


class Deadlines:
    """The operations that run now, in the order in which they are due. `seconds` is what each may take."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[Deadline, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> "Deadline":
        """For a `with` block of this task that is given up, with a TimeoutError, when the seconds are over."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("only a task can be given up")
        return Deadline(self, task, loop.time() + self._seconds)

    def add(self, deadline: "Deadline") -> None:
        """It runs, and is due after all others."""
        self._running[deadline] = None
        if self._timer is None:
            self._set_timer()

    def remove(self, deadline: "Deadline") -> None:
        """It has ended."""
        del self._running[deadline]

    def _set_timer(self) -> None:
        """For the first that has not been given up; the block of one that has is ending."""
        first = next((each.due for each in self._running if not each.is_given_up), None)
        self._timer = None if first is None else asyncio.get_running_loop().call_at(first, self._expire)

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        for deadline in self._running:
            if deadline.due > now:
                break
            if not deadline.is_given_up:
                deadline.give_up()
        self._set_timer()


class Deadline:
    """One operation's. `due` is the moment, by the loop's clock, at which it is given up.

    Does what `asyncio.timeout` does, in less time: it need not be awaited.
    """

    __slots__ = ("_all", "_cancelled", "_task", "due", "is_given_up")

    def __init__(self, all_of_them: Deadlines, task: asyncio.Task[Any], due: float) -> None:
        self._all = all_of_them
        self._task = task
        self._cancelled = task.cancelling()
        self.due = due
        self.is_given_up = False

    def give_up(self) -> None:
        """Stop what runs in the block."""
        self.is_given_up = True
        self._task.cancel()

    def __enter__(self) -> Self:
        self._all.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._all.remove(self)
        is_ours = self.is_given_up and self._task.uncancel() <= self._cancelled  # else somebody cancelled it, too
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError from error
