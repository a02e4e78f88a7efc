"""Asking as fast as there are answers, with wrk."""

import shutil
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

SCRIPT = Path(__file__).with_name("load.lua")
LONGEST = 30  # seconds to wait for a first answer
HOW_TO_GET_IT = "This needs wrk to ask fast enough: `apt-get install wrk`."


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of a load: responses, responses a second, and their median and 99th percentile in milliseconds.

    `own` and `postgres` are milliseconds of CPU that an answer took in the process that gave it and in Postgres, where that was metered.
    """

    requests: int
    rate: float
    p50: float
    p99: float
    own: float = 0
    postgres: float = 0

    @property
    def thrift(self) -> float:
        """Responses for a millisecond of CPU in both."""
        return 1 / (self.own + self.postgres)


@dataclass(frozen=True, slots=True)
class Load:
    """Requests to one address."""

    url: str
    headers: Path
    bodies: Path

    @classmethod
    def of(cls, directory: Path, name: str, url: str, headers: Mapping[str, str], bodies: Sequence[bytes]) -> "Load":
        load = cls(url, directory / f"{name}.headers", directory / f"{name}.bodies")
        given = {"content-type": "application/json", **headers}
        load.headers.write_text("".join(f"{key}: {value}\n" for key, value in given.items()))
        load.bodies.write_bytes(b"\n".join(bodies) + b"\n")
        return load

    def run(self, seconds: int, connections: int) -> Measured:
        """Ask for so long over so many kept-alive connections, one request at a time on each; longer, if nothing was answered meanwhile.
        Any failure ends the benchmark."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", SCRIPT, self.url]
        told = subprocess.check_output([*command, "--", self.headers, self.bodies], text=True)
        found: dict[str, Any] = orjson.loads(told.splitlines()[-1])
        if found["failed"] or (not found["requests"] and seconds > LONGEST):
            raise SystemExit(f"{self.url}: {found['failed']} of {found['requests']} requests failed")
        if not found["requests"]:
            return self.run(3 * seconds, connections)
        return Measured(found["requests"], found["requests"] / found["seconds"], found["p50"], found["p99"])


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit(HOW_TO_GET_IT)


def median(rounds: Iterable[Measured], part: str) -> float:
    """The median of a figure over the rounds."""
    return statistics.median(getattr(each, part) for each in rounds)


def ratio(rounds: Iterable[Measured], base: Iterable[Measured], part: str) -> float:
    """The median of a figure's ratios within the rounds, which were taken in turn."""
    return statistics.median(getattr(a, part) / getattr(b, part) for a, b in zip(rounds, base, strict=True))
