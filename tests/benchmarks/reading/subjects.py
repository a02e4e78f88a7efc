"""The subjects that are compared: each is a process of its own on one Postgres, and gets the same requests."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from ingestion import GATEWAY

from reading.people import Identity
from reading.postgraphile import Installation
from reading.scenarios import Scenario, count, leaves

HERE = Path(__file__).parent
HANDLER = HERE / "handler.py"
SHOWN = 160  # characters of an answer that is not as it should be


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
        """Return the response to one request, which must have no errors."""
        headers = {"content-type": "application/json", **self.headers}
        told = httpx.post(self.address(scenario), content=self.body(scenario, picked), headers=headers, timeout=60)
        answer = told.raise_for_status().json()
        if "errors" in answer:
            raise SystemExit(f"{self.title} answers {scenario.title} with {answer['errors'][:2]}")
        return answer["data"]

    def said(self, answer: Any) -> Any:
        """Return what is compared of a response: all of it, including the order of names."""
        return json.dumps(answer)


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

    def said(self, answer: Any) -> Any:
        return leaves(answer)


def require_same(scenario: Scenario, picked: list[Identity], there: Sequence[Subject]) -> None:
    """Ends the benchmark unless all answer to this request what the first does, and that is something."""
    first, *others = there
    expected = first.answer(scenario, picked)
    if count(leaves(expected)) < scenario.least:
        raise SystemExit(f"{first.title} answers next to nothing to {scenario.title}: {json.dumps(expected)[:SHOWN]}")
    for other in others:
        answer = other.answer(scenario, picked)
        if other.said(answer) != other.said(expected):
            told, wanted = _part(
                json.dumps(other.said(answer), default=str), json.dumps(other.said(expected), default=str)
            )
            raise SystemExit(f"{other.title} answers {scenario.title} with\n{told}\nand {first.title} with\n{wanted}")


def _part(one: str, other: str) -> tuple[str, str]:
    """Return the place where two texts differ, with its surroundings."""
    place = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    around = slice(max(0, place - SHOWN // 2), place + SHOWN // 2)
    return one[around], other[around]


@contextmanager
def ours(data_dir: Path) -> Iterator[Subject]:
    """The gateway as it is shipped, with one worker."""
    with _gateway("ours", [GATEWAY], data_dir) as subject:
        yield subject


@contextmanager
def handler(dsn: str) -> Iterator[Subject]:
    """One statement for each question, by hand."""
    with _process([sys.executable, HANDLER, dsn]) as (pid, url):
        yield Handler("hand-written handler", pid, url)


@contextmanager
def postgraphile(installed: Installation, dsn: str) -> Iterator[Subject]:
    """PostGraphile 5 over plain tables."""
    with _process([*installed.command, dsn], {"NODE_ENV": "production", "GRAPHILE_ENV": "production"}) as (pid, url):
        yield PostGraphile("PostGraphile", pid, url.removesuffix("/graphql"))


@contextmanager
def _gateway(title: str, program: list[Any], data_dir: Path) -> Iterator[Subject]:
    with _process([*program, "serve", "--port", "0", "--data-dir", data_dir]) as (pid, url):
        told = subprocess.check_output([GATEWAY, "token", "--json", "--data-dir", data_dir])
        yield Subject(title, pid, url.removesuffix("/graphql"), json.loads(told))


@contextmanager
def _process(command: list[Any], more: Mapping[str, str] | None = None) -> Iterator[tuple[int, str]]:
    """A process that says `ready URL` once it is, without any setting of the gateway; it is stopped with the block."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | (more or {})
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline().split()
            if said[:1] != ["ready"]:
                raise SystemExit(f"{command[0]} {command[1]} does not start")
            yield process.pid, said[1]
        finally:
            process.terminate()
