"""Measures how fast people are read, compared with a handler written by hand and PostGraphile 5.

    .venv/bin/python tests/benchmarks/reads.py [--quick] [--growth] [--only ours,handler] [--scenario lookup,newest] [--seconds 5] [--rounds 3]

It starts a gateway on an empty embedded Postgres (fsync on), sends it people and what they did, and then lets every subject answer the
same questions out of the same server, each in one process of its own. First it makes sure that they answer the same. Then they are
measured in turn, round by round, so that whatever else the machine does meets all of them; figures are medians over the rounds, and
ratios are medians of the ratios within a round. Requests are made beforehand, about people at random, and asked by wrk over 16 kept-alive
connections, without compression.

    ours         `gateway serve` as it is shipped: one worker, POST /graphql with its four headers, credentials checked each time
    handler      Starlette and asyncpg, one statement written for each question, no credentials (`reading/handler.py`)
    postgraphile PostGraphile 5 on Node, the preset amber

These two read plain tables with the same content, a column for each value that is asked for (`reading/rows.sql`).

CPU is what an answer takes in the one process and in Postgres; it says more than the rate where others use the machine. Memory is what
the process has at the end of a scenario. The load comes from the same machine, so that all share its cores.

PostGraphile is installed by npm into `--cache`; where that cannot be, it is left out. `--growth` measures ours alone: look-ups among 1,000,
10,000 and 300,000 people, and 1 to 200 fields. `--profile` has py-spy draw where ours spends its time, a picture for each scenario.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from reading import subjects
from reading.growth import grow
from reading.load import Load, Measured, median, ratio, require_wrk
from reading.people import Population
from reading.postgraphile import ROWS, Installation, LeftOutError, install
from reading.processes import Meter, in_turn, resident
from reading.scenarios import SCENARIOS, Scenario
from reading.store import execute, ingest, postgres, tidy
from reading.store import version as server_version
from reading.subjects import Subject, require_same

CHECKED = 5  # requests of a scenario that all have to answer alike
LEAST_PEOPLE, LEAST_EVENTS = 200, 10
HEAD = "| scenario | subject | requests/s | p50 | p99 | CPU each | Postgres CPU each | memory |"
BASE = "ours"
CACHE = Path(tempfile.gettempdir()) / "gateway-bench-postgraphile"

Figures = dict[str, list[Measured]]
"""The rounds of each subject."""


def main() -> None:
    chosen = _options()
    require_wrk()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda number, _: sys.exit(128 + number))  # and what was started is stopped on the way
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        home.chmod(0o711)
        if chosen.growth:
            print(f"{machine()}\n")
            for line in grow(home, chosen.seconds, chosen.rounds, chosen.connections):
                print(line, flush=True)
        else:
            with postgres(home / "data") as dsn:
                compare(home, dsn, chosen)


def compare(home: Path, dsn: str, chosen: argparse.Namespace) -> None:
    """Every scenario, subject by subject, and then the table for `docs/figures.md`."""
    population, installed = Population(chosen.people, chosen.events), _postgraphile(chosen)
    ingest(home, population)
    if installed or "handler" in chosen.only:
        execute(dsn, ROWS.read_text())
    tidy(dsn)
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in chosen.scenario]
    with ExitStack() as running:
        there = {name: running.enter_context(start()) for name, start in _starts(home, dsn, chosen.only, installed)}
        print(", ".join([machine(), f"Postgres {server_version(dsn)}", *([installed.versions] if installed else [])]))
        print(f"{population.people:,} people with {population.events} events each, {chosen.connections} connections\n")
        print(f"{HEAD}\n|{'---|' * HEAD.count(' | ')}---|", flush=True)
        found = {scenario: measure(home, scenario, population, there, chosen) for scenario in scenarios}
        print(f"\n{summary(found, there)}")


def _starts(
    home: Path, dsn: str, only: Sequence[str], installed: Installation | None
) -> Iterator[tuple[str, Callable[[], AbstractContextManager[Subject]]]]:
    """Yield how each selected subject is started, ours first."""
    if BASE in only:
        yield BASE, partial(subjects.ours, home / "data")
    if "handler" in only:
        yield "handler", partial(subjects.handler, dsn)
    if installed:
        yield "postgraphile", partial(subjects.postgraphile, installed, dsn)


def _postgraphile(chosen: argparse.Namespace) -> Installation | None:
    if "postgraphile" not in chosen.only:
        return None
    try:
        return install(chosen.cache)
    except LeftOutError as reason:
        print(f"PostGraphile is left out: {reason}.")
        return None


# ------------------------------------------------------------------------------------------------ measuring


def measure(
    home: Path, scenario: Scenario, population: Population, there: Mapping[str, Subject], chosen: argparse.Namespace
) -> Figures:
    """Every subject's rounds. Ends the benchmark where they do not answer alike."""
    for picked in islice(scenario.picks(population), CHECKED):
        require_same(scenario, picked, list(there.values()))
    loads = {name: load(home, scenario, population, subject) for name, subject in there.items()}
    metered = {name: (Meter.of(subject.pid, home / "data"), loads[name]) for name, subject in there.items()}
    figures = in_turn(metered, chosen.seconds, chosen.rounds, chosen.connections)
    for name, subject in there.items():
        print(line(scenario, subject, figures[name]), flush=True)
    if chosen.profile and BASE in there:
        draw(chosen.profile, scenario, there[BASE], loads[BASE], chosen)
    return figures


def line(scenario: Scenario, subject: Subject, rounds: Sequence[Measured]) -> str:
    """A row of the long table."""
    one = {part: median(rounds, part) for part in ("rate", "p50", "p99", "own", "postgres")}
    cells = [
        *(scenario.title, subject.title, f"{one['rate']:,.0f}", f"{one['p50']:.1f} ms", f"{one['p99']:.1f} ms"),
        *(f"{one['own']:.2f} ms", f"{one['postgres']:.2f} ms", f"{resident(subject.pid):.0f} MB"),
    ]
    return f"| {' | '.join(cells)} |"


def load(home: Path, scenario: Scenario, population: Population, subject: Subject) -> Load:
    bodies = [subject.body(scenario, picked) for picked in scenario.picks(population)]
    return Load.of(home, subject.title.replace(" ", "-"), subject.address(scenario), subject.headers, bodies)


def summary(found: Mapping[Scenario, Figures], there: Mapping[str, Subject]) -> str:
    """Return a table for `docs/figures.md`: requests a second, and the ratio of ours, also of responses for the same CPU."""
    others = [name for name in there if name != BASE] if BASE in there else []
    head = ["requests/s", *(subject.title for subject in there.values()), *(f"{BASE} : {name}" for name in others)]
    lines = [head, ["---"] * len(head)]
    for scenario, figures in found.items():
        rates = [f"{median(figures[name], 'rate'):,.0f}" for name in there]
        ratios = [[ratio(figures[BASE], figures[name], part) for part in ("rate", "thrift")] for name in others]
        lines.append([scenario.title, *rates, *(f"{rate:.2f} (CPU {thrift:.2f})" for rate, thrift in ratios)])
    memory = {name: resident(subject.pid) for name, subject in there.items()}
    shares = [f"{memory[BASE] / memory[name]:.2f}" for name in others]
    lines.append(["memory afterwards", *(f"{each:.0f} MB" for each in memory.values()), *shares])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(directory: Path, scenario: Scenario, subject: Subject, asked: Load, chosen: argparse.Namespace) -> None:
    """A flame graph of the subject under load, if py-spy is there."""
    spy = Path(sys.executable).with_name("py-spy")
    if not spy.exists():
        raise SystemExit("This needs py-spy beside this Python: `pip install py-spy`.")
    directory.mkdir(parents=True, exist_ok=True)
    picture = directory / f"{scenario.name}.svg"
    command = [spy, "record", "--pid", str(subject.pid), "--duration", str(chosen.seconds), "--output", picture]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        asked.run(chosen.seconds + 1, chosen.connections)


def machine() -> str:
    """Return the machine that was measured on."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("strawberry-graphql", "uvicorn", "asyncpg"))
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {libraries}"


def _options() -> argparse.Namespace:
    scenarios, everybody = [scenario.name for scenario in SCENARIOS], [BASE, "handler", "postgraphile"]
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--people", type=int, default=5_000)
    options.add_argument("--events", type=int, default=40, help="of each person")
    options.add_argument("--seconds", type=int, default=5, help="of each measurement")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--connections", type=int, default=16)
    options.add_argument("--only", type=_listed(everybody), default=everybody, help=f"of {','.join(everybody)}")
    options.add_argument("--scenario", type=_listed(scenarios), default=scenarios, help=f"of {','.join(scenarios)}")
    options.add_argument("--growth", action="store_true", help="ours alone, by the number of people and of fields")
    options.add_argument("--profile", type=Path, metavar="DIRECTORY", help="draw flame graphs of ours into it")
    options.add_argument("--cache", type=Path, default=CACHE, metavar="DIRECTORY", help="where PostGraphile is kept")
    options.add_argument("--quick", action="store_true", help="1,000 people, two rounds of a second: for a look")
    chosen = options.parse_args()
    if chosen.people < LEAST_PEOPLE or chosen.events < LEAST_EVENTS:
        options.error(f"The questions are about {LEAST_PEOPLE} people and {LEAST_EVENTS} events of each.")
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
