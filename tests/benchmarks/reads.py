"""How fast people are read, beside who else could answer: a handler written by hand, PostGraphile 5, the stock executor.

    .venv/bin/python tests/benchmarks/reads.py [--quick] [--only ours,handler] [--scenario lookup,newest] [--rounds 3] [--seconds 5]

It starts a gateway on an empty embedded Postgres (fsync on), sends it people and what they did, and then lets every subject answer the
same questions out of the same server, each in one process of its own. First it makes sure that they answer the same. Then they are
measured in turn, round by round, so that whatever else the machine does meets all of them; figures are medians over the rounds, and
ratios are medians of the ratios within a round. Requests are made beforehand, about people at random, and asked by wrk over 16 kept-alive
connections, without compression.

    ours         `gateway serve` as it is shipped: one worker, POST /graphql with its four headers, credentials checked each time
    handler      Starlette and asyncpg, one statement written for each question, no credentials (`reading/handler.py`)
    stock        `gateway serve` without the compiler: graphql-core's executor and the same resolvers
"""

import argparse
import asyncio
import os
import platform
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import asyncpg
from ingestion import Server, written
from reading import subjects
from reading.load import Load, Measured, require_wrk, resident
from reading.people import Crowd
from reading.scenarios import SCENARIOS, Scenario
from reading.subjects import Subject

from gateway.storage.cluster import Cluster

CHECKED = 5  # requests of a scenario that all have to answer alike
WARM_UP = 2  # seconds, for caches, prepared statements and Node's compiler
BASE = "ours"

Figures = dict[str, list[Measured]]
"""The rounds of each subject."""


def main() -> None:
    chosen = _options()
    require_wrk()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as on Ctrl-C, what was started is stopped
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o711)
        with postgres(Path(home) / "data") as dsn:
            compare(Path(home), dsn, chosen)


def compare(home: Path, dsn: str, chosen: argparse.Namespace) -> None:
    """The comparison as two tables."""
    crowd = Crowd(chosen.people, chosen.events)
    ingest(home, crowd)
    asyncio.run(tidy(dsn))
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in chosen.scenario]
    with ExitStack() as running:
        there = {name: running.enter_context(start) for name, start in _starts(home, dsn, chosen.only).items()}
        print(
            f"{machine(dsn)}, {crowd.people:,} people with {crowd.events} events each, {chosen.connections} connections\n"
        )
        print("| scenario | subject | requests/s | p50 | p99 | memory |\n|---|---|---|---|---|---|", flush=True)
        found = {scenario: measure(home, scenario, crowd, there, chosen) for scenario in scenarios}
        print(f"\n{summary(found, there)}")


def _starts(home: Path, dsn: str, only: Sequence[str]) -> Mapping[str, AbstractContextManager[Subject]]:
    every: Mapping[str, Callable[[], AbstractContextManager[Subject]]] = {
        BASE: partial(subjects.ours, home / "data"),
        "handler": partial(subjects.handler, dsn),
        "stock": partial(subjects.stock, home / "data"),
    }
    return {name: start() for name, start in every.items() if name in only}


# ------------------------------------------------------------------------------------------------ data


@contextmanager
def postgres(data_dir: Path) -> Iterator[str]:
    """The address of the embedded Postgres that all share."""
    cluster = Cluster(data_dir)
    asyncio.run(cluster.start())
    try:
        yield cluster.dsn()
    finally:
        asyncio.run(cluster.stop())


def ingest(home: Path, crowd: Crowd) -> None:
    """Send everything about the crowd to a gateway, which is gone afterwards: the one that is measured has taken nothing in."""
    with Server(home / "data") as server:
        people, visits = server.dataset("INDIVIDUAL_PROFILE"), server.dataset("EXPERIENCE_EVENT")
        made = server.graphql("query ($id: ID!) { dataset(id: $id) { schema { id } } }", id=people)
        loyalty = server.graphql(
            "mutation ($input: CreateDatasetInput!) { createDataset(input: $input) { dataset { id } } }",
            input={"name": "Loyalty", "schemaId": made["dataset"]["schema"]["id"]},
        )["createDataset"]["dataset"]["id"]
        server.stream(people, written(home / "records", crowd.records()))
        server.stream(loyalty, written(home / "memberships", crowd.memberships()))
        server.stream(visits, written(home / "visits", crowd.visits()))


async def tidy(dsn: str) -> None:
    """What autovacuum would come to do."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("vacuum (analyze)")
    finally:
        await connection.close()


# ------------------------------------------------------------------------------------------------ measuring


def measure(
    home: Path, scenario: Scenario, crowd: Crowd, there: Mapping[str, Subject], chosen: argparse.Namespace
) -> Figures:
    """Every subject's rounds. Ends the benchmark where they do not answer alike."""
    check(scenario, crowd, there)
    loads = {name: load(home, scenario, crowd, subject) for name, subject in there.items()}
    for one in loads.values():
        one.run(WARM_UP, chosen.connections)
    figures: Figures = {name: [] for name in loads}
    for turn in range(chosen.rounds):
        for name in list(loads)[:: -1 if turn % 2 else 1]:
            figures[name].append(loads[name].run(chosen.seconds, chosen.connections))
    for name, subject in there.items():
        rate, p50, p99 = (
            statistics.median(getattr(each, part) for each in figures[name]) for part in ("rate", "p50", "p99")
        )
        memory = resident(subject.pid)
        print(
            f"| {scenario.title} | {subject.title} | {rate:,.0f} | {p50:.1f} ms | {p99:.1f} ms | {memory:.0f} MB |",
            flush=True,
        )
    return figures


def check(scenario: Scenario, crowd: Crowd, there: Mapping[str, Subject]) -> None:
    """All answer as the first does."""
    first, *others = there.values()
    for picked in islice(scenario.picks(crowd), CHECKED):
        expected = first.answer(scenario, picked)
        for other in others:
            other.compare(other.answer(scenario, picked), expected, scenario)


def load(home: Path, scenario: Scenario, crowd: Crowd, subject: Subject) -> Load:
    bodies = [subject.body(scenario, picked) for picked in scenario.picks(crowd)]
    return Load.of(home, subject.title.replace(" ", "-"), subject.address(scenario), subject.headers, bodies)


def summary(found: Mapping[Scenario, Figures], there: Mapping[str, Subject]) -> str:
    """A table for the README: requests a second, and how many times as many are ours."""
    others = [name for name in there if name != BASE] if BASE in there else []
    head = ["requests/s", *(subject.title for subject in there.values()), *(f"{BASE} : {name}" for name in others)]
    lines = [head, ["---"] * len(head)]
    for scenario, figures in found.items():
        rates = [f"{statistics.median(each.rate for each in figures[name]):,.0f}" for name in there]
        ratios = [
            statistics.median(a.rate / b.rate for a, b in zip(figures[BASE], figures[name], strict=True))
            for name in others
        ]
        lines.append([scenario.title, *rates, *(f"{ratio:.2f}" for ratio in ratios)])
    memory = {name: resident(subject.pid) for name, subject in there.items()}
    shares = [f"{memory[BASE] / memory[name]:.2f}" for name in others]
    lines.append(["memory afterwards", *(f"{each:.0f} MB" for each in memory.values()), *shares])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine(dsn: str) -> str:
    """What it was measured on."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("strawberry-graphql", "uvicorn", "asyncpg"))
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {asyncio.run(_server(dsn))}, {libraries}"


async def _server(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        return f"Postgres {await connection.fetchval('show server_version')}"
    finally:
        await connection.close()


def _options() -> argparse.Namespace:
    names, subjects_ = [scenario.name for scenario in SCENARIOS], [BASE, "handler", "stock"]
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--people", type=int, default=5_000)
    options.add_argument("--events", type=int, default=40, help="of each person")
    options.add_argument("--seconds", type=int, default=5, help="of each measurement")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--connections", type=int, default=16)
    options.add_argument("--only", type=_listed(subjects_), default=subjects_, help=f"of {','.join(subjects_)}")
    options.add_argument("--scenario", type=_listed(names), default=names, help=f"of {','.join(names)}")
    options.add_argument("--quick", action="store_true", help="1,000 people, two rounds of a second: for a look")
    chosen = options.parse_args()
    if chosen.quick:
        chosen.people, chosen.rounds, chosen.seconds = 1_000, 2, 1
    return chosen


def _listed(known: Sequence[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        given = text.split(",")
        if unknown := set(given).difference(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not among {', '.join(known)}")
        return given

    return names


if __name__ == "__main__":
    main()
