"""Measures how reads grow with the number of people, and with the number of fields that are read.

Each number of people is a gateway of its own on a Postgres of its own, all of them at once, so that they too are measured in turn. Events
are left out: a key look-up does not see them.
"""

import re
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
from ingestion import Server, written

from reading import subjects
from reading.load import Load, median, ratio
from reading.people import Population
from reading.processes import Meter, in_turn
from reading.scenarios import SCENARIOS
from reading.store import dataset, ingest, postgres, tidy
from reading.subjects import Subject

SIZES = (1_000, 10_000, 300_000)
FIELDS = (1, 10, 50, 200)
WIDE = 1_000  # people whose documents have all of these fields
NEW = 30  # operations that were never seen before
LOOKUP, NEWEST = replace(SCENARIOS[0], requests=20_000), SCENARIOS[1]


def grow(home: Path, seconds: int, rounds: int, connections: int) -> Iterator[str]:
    """The lines of two tables."""
    with ExitStack() as running:
        there = {size: _started(home / str(size), size, running) for size in SIZES}
        yield from _by_people(home, there, seconds, rounds, connections)
        yield ""
        yield from _by_fields(home, there[SIZES[0]], seconds, rounds, connections)


def _started(home: Path, size: int, running: ExitStack) -> Subject:
    home.mkdir()
    dsn = running.enter_context(postgres(home / "data"))
    ingest(home, Population(size, 0))
    if size == SIZES[0]:
        _widen(home)
    tidy(dsn)
    return running.enter_context(subjects.ours(home / "data"))


# ------------------------------------------------------------------------------------------------ people


def _by_people(home: Path, there: Mapping[int, Subject], seconds: int, rounds: int, connections: int) -> Iterator[str]:
    loads = {size: _lookups(home / str(size), Population(size, 0), subject) for size, subject in there.items()}
    metered = {size: (Meter.of(there[size].pid, home / str(size) / "data"), load) for size, load in loads.items()}
    alone = in_turn(metered, 1, rounds * seconds, 1)  # many short rounds: one at a time feels whatever else runs
    together = in_turn(metered, seconds, rounds, connections)
    yield (
        f"| key look-up | p50, one at a time | CPU | Postgres CPU | requests/s, {connections} at once "
        f"| p50 : that of {SIZES[0]:,} | CPU : … | Postgres CPU : … | rate : … |"
    )
    yield f"|{'---|' * 9}"
    for size in loads:
        one = [f"{median(alone[size], part):.2f} ms" for part in ("p50", "own", "postgres")]
        ratios = [f"{ratio(alone[size], alone[SIZES[0]], part):.2f}" for part in ("p50", "own", "postgres")]
        rate, more = median(together[size], "rate"), ratio(together[size], together[SIZES[0]], "rate")
        yield f"| {size:,} profiles | {' | '.join(one)} | {rate:,.0f} | {' | '.join(ratios)} | {more:.2f} |"


def _lookups(home: Path, population: Population, subject: Subject) -> Load:
    bodies = [subject.body(LOOKUP, picked) for picked in LOOKUP.picks(population)]
    return Load.of(home, "lookups", subject.address(LOOKUP), subject.headers, bodies)


# ------------------------------------------------------------------------------------------------ fields


def _by_fields(home: Path, subject: Subject, seconds: int, rounds: int, connections: int) -> Iterator[str]:
    queries = {fields: _query(fields) for fields in FIELDS}
    loads = {
        fields: Load.of(home, f"fields-{fields}", f"{subject.url}/graphql", subject.headers, list(_bodies(query)))
        for fields, query in queries.items()
    }
    meter = Meter.of(subject.pid, home / str(SIZES[0]) / "data")
    found = in_turn({fields: (meter, load) for fields, load in loads.items()}, seconds, rounds, connections)
    yield (
        f"| fields of one profile | requests/s, {connections} at once | CPU | Postgres CPU "
        "| more for an operation never seen before | of that compiling |"
    )
    yield f"|{'---|' * 6}"
    for fields, query in queries.items():
        rate, *cpu = (median(found[fields], part) for part in ("rate", "own", "postgres"))
        cells = [f"{fields}", f"{rate:,.0f}", *(f"{each:.2f} ms" for each in cpu), _news(subject, query, _variables(0))]
        yield f"| {' | '.join(cells)} |"
    for scenario in (LOOKUP, NEWEST):
        variables = scenario.variables(next(scenario.picks(Population(SIZES[0], 0))))
        yield f"| {scenario.title} | | | | {_news(subject, scenario.query, variables)} |"


def _widen(home: Path) -> None:
    """Add people with as many fields as are ever read."""
    custom = {_field(n): {"type": "string"} for n in range(max(FIELDS))}
    with Server(home / "data") as server:
        made = server.graphql(
            "mutation ($input: CreateSchemaInput!) { createSchema(input: $input) { schema { id } userErrors { message } } }",
            input={"title": "Wide", "class": "INDIVIDUAL_PROFILE", "customFields": custom},
        )
        wide = dataset(server, "Wide", made["createSchema"]["schema"]["id"])
        server.stream(wide, written(home / "wide", map(_record, range(WIDE))))


def _record(n: int) -> bytes:
    values = {_field(k): f"value {k} of {n}" for k in range(max(FIELDS))}
    return orjson.dumps({"_local": values, "identityMap": {"Email": [{"id": _address(n), "primary": True}]}})


def _query(fields: int) -> str:
    wanted = " ".join(map(_field, range(fields)))
    return (
        f"query ($identity: IdentityInput!) {{ profile(identity: $identity) {{ entity {{ _local {{ {wanted} }} }} }} }}"
    )


def _field(n: int) -> str:
    return f"field{n}"


def _address(n: int) -> str:
    return f"wide{n}@example.com"


def _variables(n: int) -> dict[str, Any]:
    return {"identity": {"key": {"namespace": "Email", "value": _address(n)}}}


def _bodies(query: str) -> Iterator[bytes]:
    for n in range(WIDE):
        yield orjson.dumps({"query": query, "variables": _variables(n)})


def _news(subject: Subject, query: str, variables: dict[str, Any]) -> str:
    """Return the milliseconds that an operation takes longer when it is first sent, and those of its compilation."""
    more, compiling = [], []
    with httpx.Client(base_url=subject.url, headers=dict(subject.headers)) as client:
        for n in range(NEW):
            body = {"query": query.replace("query (", f"query Never{n} (", 1), "variables": variables}
            (first, stages), (again, _) = _taken(client, body), _taken(client, body)
            more.append(1000 * (first - again))
            compiling.append(stages.get("compile", 0))
    return f"{statistics.median(more):.1f} ms | {statistics.median(compiling):.1f} ms"


def _taken(client: httpx.Client, body: dict[str, Any]) -> tuple[float, dict[str, float]]:
    """Return the seconds of a response, and the milliseconds of each stage by its header."""
    begin = time.perf_counter()
    answer = client.post("/graphql", json=body).raise_for_status()
    taken = time.perf_counter() - begin
    told = answer.json()
    if "errors" in told or told["data"]["profile"] is None:
        raise SystemExit(f"nothing was found: {told}")
    stages = re.findall(r"(\w+);dur=([\d.]+)", answer.headers.get("server-timing", ""))
    return taken, {stage: float(milliseconds) for stage, milliseconds in stages}
