"""What grows with the number of people, and with the number of fields that are asked for.

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
from reading.load import Load, Measured
from reading.people import Crowd
from reading.scenarios import SCENARIOS
from reading.store import dataset, ingest, postgres, tidy
from reading.subjects import Subject

SIZES = (1_000, 10_000, 100_000)
FIELDS = (1, 10, 50, 200)
WIDE = 1_000  # people whose documents have all of these fields
NEW = 30  # operations that were never seen before
WARM_UP = 2  # seconds
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
    ingest(home, Crowd(size, 0))
    if size == SIZES[0]:
        _widen(home)
    tidy(dsn)
    return running.enter_context(subjects.ours(home / "data"))


# ------------------------------------------------------------------------------------------------ people


def _by_people(home: Path, there: Mapping[int, Subject], seconds: int, rounds: int, connections: int) -> Iterator[str]:
    loads = {size: _lookups(home / str(size), Crowd(size, 0), subject) for size, subject in there.items()}
    alone = _rounds(loads, seconds, rounds, 1)
    together = _rounds(loads, seconds, rounds, connections)
    yield f"| key look-up | p50, one at a time | requests/s, {connections} at once | latency : that of {SIZES[0]:,} | rate : that of {SIZES[0]:,} |"
    yield "|---|---|---|---|---|"
    for size in loads:
        slower = statistics.median(a.p50 / b.p50 for a, b in zip(alone[size], alone[SIZES[0]], strict=True))
        faster = statistics.median(a.rate / b.rate for a, b in zip(together[size], together[SIZES[0]], strict=True))
        p50 = statistics.median(each.p50 for each in alone[size])
        rate = statistics.median(each.rate for each in together[size])
        yield f"| {size:,} profiles | {p50:.2f} ms | {rate:,.0f} | {slower:.2f} | {faster:.2f} |"


def _lookups(home: Path, crowd: Crowd, subject: Subject) -> Load:
    bodies = [subject.body(LOOKUP, picked) for picked in LOOKUP.picks(crowd)]
    return Load.of(home, "lookups", subject.address(LOOKUP), subject.headers, bodies)


def _rounds(loads: Mapping[int, Load], seconds: int, rounds: int, connections: int) -> dict[int, list[Measured]]:
    """Each load's rounds, in turn; warmed up before."""
    for load in loads.values():
        load.run(WARM_UP, connections)
    found: dict[int, list[Measured]] = {key: [] for key in loads}
    for turn in range(rounds):
        for key in list(loads)[:: -1 if turn % 2 else 1]:
            found[key].append(loads[key].run(seconds, connections))
    return found


# ------------------------------------------------------------------------------------------------ fields


def _by_fields(home: Path, subject: Subject, seconds: int, rounds: int, connections: int) -> Iterator[str]:
    queries = {fields: _query(fields) for fields in FIELDS}
    loads = {
        fields: Load.of(home, f"fields-{fields}", f"{subject.url}/graphql", subject.headers, list(_bodies(query)))
        for fields, query in queries.items()
    }
    found = _rounds(loads, seconds, rounds, connections)
    yield f"| fields of one profile | requests/s, {connections} at once | p50 | more for an operation never seen before | of that compiling |"
    yield "|---|---|---|---|---|"
    for fields, query in queries.items():
        rate = statistics.median(each.rate for each in found[fields])
        p50 = statistics.median(each.p50 for each in found[fields])
        yield f"| {fields} | {rate:,.0f} | {p50:.1f} ms | {_news(subject, query, _variables(0))} |"
    for scenario in (LOOKUP, NEWEST):
        variables = scenario.variables(next(scenario.picks(Crowd(SIZES[0], 0))))
        yield f"| {scenario.title} | | | {_news(subject, scenario.query, variables)} |"


def _widen(home: Path) -> None:
    """More people, of whom as many fields are known as are ever asked for."""
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
    """How many milliseconds longer an operation takes the first time it is sent, and how many of them it takes to be compiled."""
    more, compiling = [], []
    with httpx.Client(base_url=subject.url, headers=dict(subject.headers)) as client:
        for n in range(NEW):
            body = {"query": query.replace("query (", f"query Never{n} (", 1), "variables": variables}
            (first, stages), (again, _) = _taken(client, body), _taken(client, body)
            more.append(1000 * (first - again))
            compiling.append(stages.get("compile", 0))
    return f"{statistics.median(more):.1f} ms | {statistics.median(compiling):.1f} ms"


def _taken(client: httpx.Client, body: dict[str, Any]) -> tuple[float, dict[str, float]]:
    """Seconds that an answer takes, and the milliseconds of each stage as the server tells them."""
    begin = time.perf_counter()
    answer = client.post("/graphql", json=body).raise_for_status()
    taken = time.perf_counter() - begin
    told = answer.json()
    if "errors" in told or told["data"]["profile"] is None:
        raise SystemExit(f"nothing was found: {told}")
    stages = re.findall(r"(\w+);dur=([\d.]+)", answer.headers.get("server-timing", ""))
    return taken, {stage: float(milliseconds) for stage, milliseconds in stages}
