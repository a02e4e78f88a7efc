"""What processes take, as Linux tells it."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from reading.load import Load, Measured

PROCESSES = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")  # of CPU time, a second


@dataclass(frozen=True, slots=True)
class Meter:
    """Tells the CPU time of one who answers from that of Postgres. What else the machine does moves neither much."""

    pid: int
    postmaster: int

    @classmethod
    def of(cls, pid: int, data_dir: Path) -> "Meter":
        return cls(pid, int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0]))

    def run(self, load: Load, seconds: int, connections: int) -> Measured:
        """Run the load, and meter it."""
        before = self._read()
        measured = load.run(seconds, connections)
        own, postgres = (1000 * (b - a) / measured.requests for a, b in zip(before, self._read(), strict=True))
        return replace(measured, own=own, postgres=postgres)

    def _read(self) -> tuple[float, float]:
        """Seconds of both."""
        served = (PROCESSES / f"{self.postmaster}/task/{self.postmaster}/children").read_text().split()
        return _seconds(self.pid), _seconds(self.postmaster, ended=True) + sum(map(_seconds, map(int, served)))


def _seconds(pid: int, *, ended: bool = False) -> float:
    """CPU seconds of a process, and if so of its children that have ended; none of one that is gone."""
    try:
        told = (PROCESSES / f"{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return sum(map(int, told[11 : 15 if ended else 13])) / TICKS


def resident(pid: int) -> float:
    """MB of memory that a process has."""
    pages = int((PROCESSES / f"{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
