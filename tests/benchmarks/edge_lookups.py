"""Measures look-ups at an edge, compared with a bare handler that fetches the same row and with PostGraphile 5 over the merged row.

    .venv/bin/python tests/benchmarks/edge_lookups.py [--quick] [--only edge,handler] [--seconds 5] [--rounds 3]

It starts `gateway edge` on an empty embedded Postgres, delivers people to it as a hub does, and lets every subject answer about the same
people out of the same server, each in one process of its own, round by round. Requests are made beforehand and asked by wrk.

    edge         `gateway edge` as it is shipped: GET with four headers, credentials checked each time, `ETag`, `Age`
    handler      Starlette and asyncpg, one fetch of the row by its key, no credentials (`reading/edge_handler.py`)
    postgraphile PostGraphile 5 on Node, the preset amber, over a plain table with the same JSON

The median of look-ups one after the other (`--connections 1`) is the first figure, the rate over 16 connections the second. CPU is what a
look-up takes in the one process and in Postgres.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import orjson
from reading.load import Load, Measured, median, ratio, require_wrk
from reading.postgraphile import Installation, LeftOutError, install
from reading.processes import Meter, in_turn
from reading.store import execute
from reading.subjects import _process
from reads import CACHE, machine

sys.path.insert(0, str(Path(__file__).parents[1]))  # what tests deliver to edges

from edge.deliveries import AT, delivery, email_key, fill, headers, projection

from gateway.domain.edges import projections, sandboxes
from gateway.storage.database import Database

HANDLER = Path(__file__).parent / "reading" / "edge_handler.py"
AT_ONCE = 1_000
ASKED = 20_000
ROWS = """
    create schema plain;
    create table plain.projection (email text primary key, profile jsonb not null, events jsonb not null, projected_at timestamptz not null);
    insert into plain.projection
    select p.profile::jsonb #>> '{personalEmail,address}', p.profile::jsonb, ('[' || array_to_string(p.events, ',') || ']')::jsonb, p.projected_at
      from edge.projection p;"""
QUERY = "query ($email: String!) { projectionByEmail(email: $email) { profile events projectedAt } }"

Subjects = dict[str, tuple[int, Load]]


def main() -> None:
    chosen = _options()
    require_wrk()
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        home = Path(name)
        home.chmod(0o711)
        command = [sys.executable, "-m", "gateway", "edge", "--data-center", "VA6", "--port", "0"]
        pid, url = stack.enter_context(_process([*command, "--data-dir", home / "data"]))
        dsn = f"postgresql://gateway@/gateway?host={home / 'data' / 'socket'}"
        asyncio.run(_deliver(dsn, chosen.people))
        execute(dsn, f"{ROWS if 'postgraphile' in chosen.only else ''}; analyze")
        picked = [_email(number) for number in random.Random(1).choices(range(chosen.people), k=ASKED)]
        there = {"edge": (pid, _edge(home, url.removesuffix("/graphql"), picked))}
        there |= {name: stack.enter_context(other(home, dsn, picked)) for name, other in _others(chosen)}
        print(f"{machine()}\n{chosen.people:,} people; one projection has {_bytes(url, picked[0]):,} bytes\n")
        metered = {name: (Meter.of(pid, home / "data"), load) for name, (pid, load) in there.items()}
        for connections in (1, 16):
            _tell(connections, in_turn(metered, chosen.seconds, chosen.rounds, connections))


def _tell(connections: int, found: Mapping[str, list[Measured]]) -> None:
    """Print a row for each subject; ratios are those of the edge to it, medians of the ratios within the rounds."""
    print(
        f"| {connections} connections | requests/s | p50 | p99 | CPU each | Postgres CPU each | p50, edge to it | rate, edge to it |"
    )
    print(f"|{'---|' * 8}")
    for name, rounds in found.items():
        one = {part: median(rounds, part) for part in ("rate", "p50", "p99", "own", "postgres")}
        ratios = [f"{ratio(found['edge'], rounds, part):.2f}" for part in ("p50", "rate")]
        times = [f"{one[part]:.3f} ms" for part in ("p50", "p99", "own", "postgres")]
        print(f"| {name} | {one['rate']:,.0f} | {' | '.join([*times, *ratios])} |", flush=True)
    print()


async def _deliver(dsn: str, people: int) -> None:
    """Deliver everybody, and say so."""
    db = await Database.connect(dsn, size=1)
    await fill(db)
    for start in range(0, people, AT_ONCE):
        async with delivery(db) as tx:
            await projections.deliver(tx, 1, [_person(number) for number in range(start, start + AT_ONCE)])
    async with delivery(db) as tx:
        await sandboxes.confirm(tx, 1, "here", 0, [projection(0, []).configuration_id])
    await db.close()


def _email(number: int) -> str:
    return f"person{number}@example.com"


def _person(number: int) -> projections.DeliveredProjection:
    profile = {
        "person": {"name": {"firstName": f"First{number}", "lastName": f"Last{number}"}},
        "personalEmail": {"address": _email(number)},
        "homeAddress": {"city": f"City {number % 100}"},
        "loyalty": {"tier": "gold"},
    }
    events = [orjson.dumps({"eventType": "web.webpagedetails.pageViews", "page": f"{n}"}).decode() for n in range(5)]
    text = orjson.dumps(profile).decode()
    return projection(number + 1, [_email(number)], text, events=events, times=[AT] * 5)


def _edge(home: Path, url: str, picked: list[str]) -> Load:
    paths = [f"/projections/shop/Email/{email}".encode() for email in picked]
    return Load.of(home, "edge", url, headers(), paths)


def _others(chosen: argparse.Namespace) -> Iterator[tuple[str, object]]:
    if "handler" in chosen.only:
        yield "handler", _handler
    if "postgraphile" in chosen.only:
        try:
            yield "postgraphile", _postgraphile(install(chosen.cache))
        except LeftOutError as reason:
            print(f"PostGraphile is left out: {reason}.")


@contextmanager
def _handler(home: Path, dsn: str, picked: list[str]) -> Iterator[tuple[int, Load]]:
    with _process([sys.executable, HANDLER, dsn]) as (pid, url):
        yield pid, Load.of(home, "handler", url, {}, [f"/{email_key(email)}".encode() for email in picked])


def _postgraphile(installed: Installation) -> object:
    @contextmanager
    def started(home: Path, dsn: str, picked: list[str]) -> Iterator[tuple[int, Load]]:
        with _process([*installed.command, dsn], {"NODE_ENV": "production", "GRAPHILE_ENV": "production"}) as (
            pid,
            url,
        ):
            bodies = [orjson.dumps({"query": QUERY, "variables": {"email": email}}) for email in picked]
            told = httpx.post(url, content=bodies[0], headers={"content-type": "application/json"}).json()
            if not (told.get("data") or {}).get("projectionByEmail"):
                raise SystemExit(f"PostGraphile answers with {told}")
            yield pid, Load.of(home, "postgraphile", url, {}, bodies)

    return started


def _bytes(url: str, email: str) -> int:
    """The length of one answer, which has the events of the person."""
    told = httpx.get(f"{url.removesuffix('/graphql')}/projections/shop/Email/{email}", headers=headers())
    if len(told.raise_for_status().json()["events"]) != 5:
        raise SystemExit(f"The edge answers with {told.text}")
    return len(told.content)


def _options() -> argparse.Namespace:
    everybody = ["edge", "handler", "postgraphile"]
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--people", type=int, default=20_000)
    options.add_argument("--seconds", type=int, default=5, help="of each measurement")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument(
        "--only", type=lambda text: text.split(","), default=everybody, help=f"of {','.join(everybody)}"
    )
    options.add_argument("--cache", type=Path, default=CACHE, metavar="DIRECTORY", help="where PostGraphile is kept")
    options.add_argument("--quick", action="store_true", help="2,000 people, two rounds of two seconds: for a look")
    chosen = options.parse_args()
    if chosen.quick:
        chosen.people, chosen.rounds, chosen.seconds = 2_000, 2, 2
    return chosen


if __name__ == "__main__":
    main()
