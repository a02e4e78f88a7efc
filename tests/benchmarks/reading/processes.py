"""CPU time and memory of processes, as Linux reports them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from reading.load import Load, Measured

PROCESSES = Path("/proc")
WARM_UP = 2  # seconds at most, for caches, prepared statements and Node's compiler
TICKS = os.sysconf("SC_CLK_TCK")  # of CPU time, a second


K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Meter:
    """Measures the CPU time of a subject and that of Postgres. Other load of the machine hardly changes either."""

    pid: int
    postmaster: int

    @classmethod
    def of(cls, pid: int, data_dir: Path) -> "Meter":
        return cls(pid, int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0]))

    def run(self, load: Load, seconds: int, connections: int) -> Measured:
        """Run the load, and meter it."""
        before = self.read()
        measured = load.run(seconds, connections)
        own, postgres = (1000 * (b - a) / measured.requests for a, b in zip(before, self.read(), strict=True))
        return replace(measured, own=own, postgres=postgres)

    def read(self) -> tuple[float, float]:
        """Seconds of both."""
        return _seconds(self.pid), seconds_of_all(self.postmaster)


def seconds_of_all(pid: int) -> float:
    """CPU seconds of a process, such as a postmaster, of those below it, and of those that have ended there; none of one that is gone."""
    try:
        told = (PROCESSES / f"{pid}/stat").read_text().rpartition(")")[2].split()
        below = (PROCESSES / f"{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, told[11:15])) / TICKS + sum(map(seconds_of_all, map(int, below)))


def in_turn(
    loads: Mapping[K, tuple[Meter, Load]], seconds: int, rounds: int, connections: int
) -> dict[K, list[Measured]]:
    """The rounds of each, taken in turn, once each is warm."""
    for _, load in loads.values():
        load.run(min(WARM_UP, seconds), connections)
    found: dict[K, list[Measured]] = {key: [] for key in loads}
    for turn in range(rounds):
        for key in list(loads)[:: -1 if turn % 2 else 1]:
            meter, load = loads[key]
            found[key].append(meter.run(load, seconds, connections))
    return found


def _seconds(pid: int) -> float:
    """CPU seconds of a process alone; none of one that is gone."""
    try:
        told = (PROCESSES / f"{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return sum(map(int, told[11:13])) / TICKS


def resident(pid: int) -> float:
    """MB of memory that a process has."""
    pages = int((PROCESSES / f"{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
