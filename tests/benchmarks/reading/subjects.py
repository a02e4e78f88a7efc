"""Who answers. Each is a process of its own on the same Postgres, and gets the very same requests."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import httpx
import orjson

from reading.people import Identity
from reading.scenarios import Scenario, leaves

PROGRAM = [sys.executable, "-m", "gateway"]
HERE = Path(__file__).parent
STOCK, HANDLER = HERE / "stock.py", HERE / "handler.py"


@dataclass(frozen=True)
class Subject:
    """A process that answers at `url`; here, the gateway."""

    title: str
    pid: int
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def address(self, _: Scenario) -> str:
        return f"{self.url}/graphql"

    def body(self, scenario: Scenario, picked: list[Identity]) -> bytes:
        return orjson.dumps({"query": scenario.query, "variables": scenario.variables(picked)})

    def answer(self, scenario: Scenario, picked: list[Identity]) -> Any:
        """What it says to one request, without errors."""
        headers = {"content-type": "application/json", **self.headers}
        told = httpx.post(self.address(scenario), content=self.body(scenario, picked), headers=headers, timeout=60)
        answer = told.raise_for_status().json()
        if "errors" in answer:
            raise SystemExit(f"{self.title} answers {scenario.title} with {answer['errors'][:2]}")
        return answer["data"]

    def compare(self, mine: Any, expected: Any, scenario: Scenario) -> None:
        """Ends the benchmark unless both are the same JSON, the order of names included."""
        require_same(json.dumps(mine), json.dumps(expected), self.title, scenario)


class Handler(Subject):
    """The handler written by hand knows the questions beforehand."""

    def address(self, scenario: Scenario) -> str:
        return f"{self.url}/{scenario.name}"

    def body(self, scenario: Scenario, picked: list[Identity]) -> bytes:
        return orjson.dumps(scenario.variables(picked))


class PostGraphile(Subject):
    """PostGraphile has names of its own for the same values."""

    def body(self, scenario: Scenario, picked: list[Identity]) -> bytes:
        return orjson.dumps({"query": scenario.rows, "variables": scenario.row_variables(picked)})

    def compare(self, mine: Any, expected: Any, scenario: Scenario) -> None:
        require_same(leaves(mine), leaves(expected), self.title, scenario)


def require_same(mine: Any, expected: Any, title: str, scenario: Scenario) -> None:
    """Ends the benchmark with the place where two answers part."""
    if mine == expected:
        return
    pairs = enumerate(zip_longest(mine, expected))
    place = next(n for n, (one, other) in pairs if one != other)
    told, wanted = (f"{answer[max(0, place - 40) : place + 40]}" for answer in (mine, expected))
    raise SystemExit(f"{title} answers another thing to {scenario.title}:\n{told}\ninstead of\n{wanted}")


@contextmanager
def ours(data_dir: Path) -> Iterator[Subject]:
    """The gateway as it is shipped, with one worker."""
    with _gateway("ours", PROGRAM, data_dir) as subject:
        yield subject


@contextmanager
def stock(data_dir: Path) -> Iterator[Subject]:
    """The gateway without its compiler."""
    with _gateway("stock executor", [sys.executable, STOCK], data_dir) as subject:
        yield subject


@contextmanager
def handler(dsn: str) -> Iterator[Subject]:
    """One statement for each question, by hand."""
    with _process([sys.executable, HANDLER, dsn]) as (pid, url):
        yield Handler("hand-written handler", pid, url)


@contextmanager
def _gateway(title: str, program: list[Any], data_dir: Path) -> Iterator[Subject]:
    with _process([*program, "serve", "--port", "0", "--data-dir", data_dir]) as (pid, url):
        told = subprocess.check_output([*PROGRAM, "token", "--json", "--data-dir", data_dir])
        yield Subject(title, pid, url.removesuffix("/graphql"), json.loads(told))


@contextmanager
def _process(command: list[Any], **options: Any) -> Iterator[tuple[int, str]]:
    """A process that says `ready URL` once it is; it is stopped with the block."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True} | options
    with subprocess.Popen(command, **given) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline().split()
            if said[:1] != ["ready"]:
                raise SystemExit(f"{command[0]} {command[1]} does not start")
            yield process.pid, said[1]
        finally:
            process.terminate()
            process.wait()
