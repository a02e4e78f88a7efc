"""Measures documents a second and memory of the NDJSON endpoint and of files, compared with a raw COPY of the same rows.

    .venv/bin/python tests/benchmarks/ingestion.py [--documents 50000] [--stream 1000000] [--only-files]

It starts a gateway of its own on an empty embedded Postgres (fsync on), streams records with three identities each, then
events, over HTTP, and then copies the very rows that came of it into the same tables again, emptied, in transactions of the
same number of documents. `--stream` streams that many events once more and watches the server's memory. Last, 10,000 records go in by
`gateway ingest FILE`, a whole process each time, and by the endpoint, in turns: the median of five of each, by time and by the CPU that the
process, the server and Postgres took together. `--only-files` measures just that.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
import orjson
from reading.processes import seconds_of_all

GATEWAY = Path(sys.executable).parent / "gateway"
PER_TRANSACTION = 1000
FILE = 10_000  # records
RECORD_TABLES = ("record", "identity", "tie", "graph", "fragment", "profile", "change")
EVENT_TABLES = ("event",)


def records(count: int, first: int = 0) -> Iterator[bytes]:
    """Return records of new people, with three identities each."""
    for n in range(first, first + count):
        yield orjson.dumps(
            {
                "person": {"name": {"firstName": f"Given{n}", "lastName": "Name"}, "birthDate": "1985-04-12"},
                "personalEmail": {"address": f"p{n}@example.com"},
                "homeAddress": {"street1": f"{n} Main Street", "city": "Cincinnati", "postalCode": "45202"},
                "identityMap": {
                    "Email": [{"id": f"p{n}@example.com", "primary": True}],
                    "Phone": [{"id": f"+1 513 {n:07d}"}],
                    "ECID": [{"id": f"{n + 1:038d}"}],
                },
            }
        )


def events(count: int, people: int, prefix: str = "e") -> Iterator[bytes]:
    """Page views of these people."""
    for n in range(count):
        yield orjson.dumps(
            {
                "_id": f"{prefix}{n}",
                "timestamp": f"2026-01-{n % 28 + 1:02d}T12:00:00Z",
                "eventType": "web.webpagedetails.pageViews",
                "web": {"webPageDetails": {"name": "Home", "URL": "https://shop.example/", "pageViews": {"value": 1}}},
                "identityMap": {"ECID": [{"id": f"{n % people + 1:038d}", "primary": True}]},
            }
        )


class Server:
    """A gateway in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __enter__(self) -> Self:
        command = [GATEWAY, "serve", "--port", "0", "--data-dir", self.directory]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[1].removesuffix("/graphql")
        told = subprocess.check_output([GATEWAY, "token", "--json", "--data-dir", self.directory])
        self.client = httpx.Client(base_url=self.url, headers=json.loads(told), timeout=None)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait()

    def graphql(self, query: str, **variables: Any) -> Any:
        answer = self.client.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def dataset(self, xdm_class: str) -> str:
        schema = self.graphql(
            'mutation ($class: XdmClass!) { createSchema(input: {title: "Bench", class: $class}) { schema { id } userErrors { message } } }'.replace(
                '"Bench"', f'"{xdm_class}"'
            ),
            **{"class": xdm_class},
        )["createSchema"]["schema"]
        made = self.graphql(
            "mutation ($input: CreateDatasetInput!) { createDataset(input: $input) { dataset { id } } }",
            input={"name": xdm_class, "schemaId": schema["id"]},
        )
        return str(made["createDataset"]["dataset"]["id"])

    def stream(self, dataset_id: str, file: Path) -> float:
        """Documents a second."""
        begin = time.perf_counter()
        with file.open("rb") as lines:
            pieces = iter(lambda: lines.read(1 << 16), b"")
            headers = {"content-type": "application/x-ndjson"}
            answer = (
                self.client.post(f"/ingest/{dataset_id}", content=pieces, headers=headers).raise_for_status().json()
            )
        assert answer["failedCount"] == 0, answer
        return float(answer["accepted"] / (time.perf_counter() - begin))

    def load(self, dataset_id: str, file: Path) -> float:
        """Documents a second of `gateway ingest`, from the start of the process to its end."""
        begin = time.perf_counter()
        command = [GATEWAY, "ingest", file, "--dataset", dataset_id, "--data-dir", self.directory]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        accepted = int(said.partition(": ")[2].partition(" accepted")[0].replace(",", ""))
        return accepted / (time.perf_counter() - begin)

    def peak_memory(self) -> float:
        """The most that the server ever took, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def used_cpu(self) -> float:
        """Seconds of CPU of the server, of its Postgres, and of the processes that this one started and that have ended."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        postgres = int((self.directory / "postgres/postmaster.pid").read_text().split()[0])
        return ended.ru_utime + ended.ru_stime + seconds_of_all(self.process.pid) + seconds_of_all(postgres)

    async def copy(self, tables: tuple[str, ...], documents: int) -> float:
        """Empty the tables and copy their rows back; documents a second."""
        socket = self.directory / "socket"
        connection = await asyncpg.connect(host=str(socket), port=5432, user="gateway", database="gateway")
        try:
            rows = {
                table: [tuple(r) for r in await connection.fetch(f"select * from gateway.{table}")] for table in tables
            }
            columns = {table: await _columns(connection, table) for table in tables}
            await connection.execute(f"truncate {', '.join(f'gateway.{table}' for table in tables)}")
            calls = documents // PER_TRANSACTION
            begin = time.perf_counter()
            for call in range(calls):
                async with connection.transaction():
                    for table in tables:
                        await connection.copy_records_to_table(
                            table,
                            schema_name="gateway",
                            columns=columns[table],
                            records=_share(rows[table], call, calls),
                        )
            return documents / (time.perf_counter() - begin)
        finally:
            await connection.close()


async def _columns(connection: Any, table: str) -> list[str]:
    found = await connection.fetch(
        "select column_name from information_schema.columns where table_schema = 'gateway' and table_name = $1 order by ordinal_position",
        table,
    )
    return [row[0] for row in found]


def _share(rows: list[Any], call: int, calls: int) -> list[Any]:
    return rows[len(rows) * call // calls : len(rows) * (call + 1) // calls]


def written(path: Path, lines: Iterator[bytes]) -> Path:
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in lines)
    return path


def beside(server: Server, dataset_id: str, files: Path, known: int) -> tuple[float, float, float]:
    """The rates of files and of the endpoint, taken in turns, and the endpoint's CPU ÷ that of files; `known`: how many people are there already."""
    rates: list[tuple[float, float, float, float]] = []
    for n in range(5):
        first = known + 2 * n * FILE
        one, other = (written(files / f"f{place}", records(FILE, place)) for place in (first, first + FILE))
        begin = server.used_cpu()
        by_file, between = server.load(dataset_id, one), server.used_cpu()
        by_endpoint, end = server.stream(dataset_id, other), server.used_cpu()
        rates.append((by_file, by_endpoint, between - begin, end - between))
    by_file, by_endpoint, of_file, of_endpoint = (statistics.median(each) for each in zip(*rates, strict=True))
    return by_file, by_endpoint, of_endpoint / of_file


def line(what: str, rate: float, raw: float) -> None:
    print(f"| {what:<32} | {rate:>9,.0f}/s | {raw:>9,.0f}/s | {rate / raw:>5.2f} |", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=50_000)
    options.add_argument("--stream", type=int, default=0)
    options.add_argument("--only-files", action="store_true")
    chosen = options.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the modules of an installed gateway are compiled
    count = chosen.documents // PER_TRANSACTION * PER_TRANSACTION
    print(f"{platform.machine()}, Python {platform.python_version()}, {count:,} documents\n")
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as home:
        Path(home).chmod(0o711)
        files = Path(home)
        with Server(files / "data") as server:
            profiles, visits = server.dataset("INDIVIDUAL_PROFILE"), server.dataset("EXPERIENCE_EVENT")
            by_records = server.stream(profiles, written(files / "records", records(count)))
            if not chosen.only_files:
                against_copy(server, visits, files, by_records, chosen)
            by_file, by_endpoint, by_cpu = beside(server, profiles, files, count)
            print(
                f"\n{FILE:,} records by `gateway ingest`: {by_file:,.0f}/s, {by_file / by_endpoint:.2f} of the endpoint's; by CPU {by_cpu:.2f}"
            )


def against_copy(server: Server, visits: str, files: Path, by_records: float, chosen: argparse.Namespace) -> None:
    """Print the rates of the endpoint beside those of COPY."""
    count = chosen.documents // PER_TRANSACTION * PER_TRANSACTION
    by_events = server.stream(visits, written(files / "events", events(count, count)))
    print(f"| {'what':<32} | {'endpoint':>11} | {'raw COPY':>11} | ratio |")
    print(f"|{'-' * 34}|{'-' * 13}|{'-' * 13}|{'-' * 7}|")
    line("records, three identities each", by_records, asyncio.run(server.copy(RECORD_TABLES, count)))
    line("events", by_events, asyncio.run(server.copy(EVENT_TABLES, count)))
    if chosen.stream:
        rate = server.stream(visits, written(files / "stream", events(chosen.stream, count, "s")))
        print(f"\n{chosen.stream:,} events in one stream: {rate:,.0f}/s, {server.peak_memory():.0f} MB at most")


if __name__ == "__main__":
    main()
