"""Measures searches for people by a leaf that equals a value, over HTTP, before and after the leaf has an index.

    .venv/bin/python tests/benchmarks/searching.py [--people 100000]

It starts a gateway on an empty embedded Postgres (fsync on) and sends it the people. The first search by a leaf asks for its index, which a
job makes; from then on searches are for other people each time, one at a time over one connection. On a machine that others use, the
shortest time says more than the middle one.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx
from reading import subjects
from reading.people import Population, address
from reading.store import ingest, postgres, tidy
from reading.subjects import Subject

SEARCH = """query ($where: String!) { searchProfiles(where: $where, first: 10) {
  nodes { id entity { person { name { firstName lastName } } personalEmail { address } } } pageInfo { hasNextPage endCursor } } }"""
INDEXES = "{ searchIndexes { isReady } }"
ROUNDS = 200
STEP = 7919  # between the people whom two searches are for
PATIENCE = 600  # seconds


def main(people: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        home.chmod(0o755)
        with postgres(home / "data") as dsn:
            ingest(home, Population(people, 0))
            tidy(dsn)
            with subjects.ours(home / "data") as subject:
                for line in _lines(subject, people):
                    print(line, flush=True)


def _lines(subject: Subject, people: int) -> Iterator[str]:
    searches = {
        "one person": lambda n: f'personalEmail.address = "{address(n)}"',
        "one in 977": lambda n: f'person.name.lastName = "Family{n % 977}"',
    }
    with httpx.Client(base_url=subject.url, headers=dict(subject.headers), timeout=60) as client:
        yield f"{'':30} {'shortest':>12} {'middle':>12}"
        for name, where in searches.items():
            yield _line(f"{name}, without an index", [_seconds(client, where(0))])
        _await_indexes(client, len(searches))
        for name, where in searches.items():
            yield _line(f"{name}, by its index", [_seconds(client, where(n * STEP % people)) for n in range(ROUNDS)])


def _line(name: str, seconds: list[float]) -> str:
    return f"{name:42} {1000 * min(seconds):9.1f} ms {1000 * median(seconds):9.1f} ms"


def _seconds(client: httpx.Client, where: str) -> float:
    begin = time.perf_counter()
    answer = client.post("/graphql", json={"query": SEARCH, "variables": {"where": where}}).raise_for_status()
    taken = time.perf_counter() - begin
    told = answer.json()
    if "errors" in told:
        raise SystemExit(f"{where}: {told['errors']}")
    return taken


def _await_indexes(client: httpx.Client, count: int) -> None:
    """Return when so many indexes are made."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        told = client.post("/graphql", json={"query": INDEXES}).raise_for_status().json()
        if sum(each["isReady"] for each in told["data"]["searchIndexes"]) >= count:
            return
        time.sleep(1)
    raise SystemExit("the indexes were not made in time")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--people", type=int, default=100_000)
    main(arguments.parse_args().people)
