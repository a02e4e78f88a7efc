"""Measures whether a hostile caller can delay others: good callers in one sandbox, and in another one each attack that it may send.

    .venv/bin/python tests/benchmarks/hostile.py [--seconds 300] [--only blank,connections]

It starts a gateway of its own, lets good callers ask for themselves (look-ups, small streams, `/healthz`), and then starts one attack after
the other (`hostility/attacks.py`), each in a process of its own, for an equal share of the time. What the good callers see is printed for
each: errors, the worst pause of `/healthz`, the look-up's median and worst against its quiet median, and the most memory that the gateway
took. All of it stays on this machine, and ends by itself. Attackers, callers and gateway share its cores: read the figures so.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from hostility.attacks import ATTACKS, Target, run
from hostility.wire import Wire

GATEWAY = Path(sys.executable).parent / "gateway"
PAUSE, TIMES, MEMORY = 250, 10, 400  # what is promised: milliseconds of /healthz, look-ups in quiet times, MB
QUIET_SECONDS = 5
PEOPLE = 200
LOOK_UP = 'query ($v: String!) { profile(identity: {key: {namespace: "Email", value: $v}}) { id entityJson } }'
SCHEMA = 'mutation ($c: XdmClass!) { createSchema(input: {title: "S", class: $c}) { schema { id } } }'
DATASET = "mutation ($i: ID!, $n: String!) { createDataset(input: {name: $n, schemaId: $i}) { dataset { id } } }"
SANDBOX = 'mutation { createSandbox(input: {name: "hostile", title: "Hostile"}) { sandbox { name } } }'


@dataclass(slots=True)
class Seen:
    """Latencies of good callers over a while, in milliseconds."""

    pauses: list[float] = field(default_factory=list)
    look_ups: list[float] = field(default_factory=list)
    streams: int = 0
    errors: list[str] = field(default_factory=list)


class Caller:
    """Good callers, who go on all the time; what they see goes to `seen`, which changes with the attack."""

    def __init__(self, url: str, headers: dict[str, str], dataset_id: str) -> None:
        self._url, self._headers, self._dataset_id = url, headers, dataset_id
        self.seen = Seen()

    async def probe(self) -> None:
        """Ask whether it lives, fifty times a second, over a new connection each second."""
        while True:
            async with Wire(self._url, {}) as wire:
                for _ in range(50):
                    begin = time.perf_counter()
                    status, _ = await wire.ask("GET", "/healthz")
                    self.seen.pauses.append((time.perf_counter() - begin) * 1000)
                    self._check("healthz", status)
                    await asyncio.sleep(0.02)

    async def look_up(self) -> None:
        """Look up a person, a hundred times a second at most."""
        async with Wire(self._url, self._headers) as wire:
            for number in count():
                begin = time.perf_counter()
                status, body = await wire.graphql(LOOK_UP, v=f"p{number % PEOPLE}@example.com")
                self.seen.look_ups.append((time.perf_counter() - begin) * 1000)
                self._check("look-up", status, b"errors" in body)
                await asyncio.sleep(0.01)

    async def stream(self) -> None:
        """Send ten records, once a second."""
        while True:
            async with Wire(self._url, self._headers) as wire:
                status, _ = await wire.stream(self._dataset_id, people(10))
                self._check("stream", status)
                self.seen.streams += 1
            await asyncio.sleep(1)

    def _check(self, what: str, status: int, is_wrong: bool = False) -> None:
        if status != 200 or is_wrong:
            self.seen.errors.append(f"{what} {status}")

    async def go_on(self, work: Any) -> None:
        """Do it again whenever the connection breaks, which is an error."""
        while True:
            try:
                await work()
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.seen.errors.append(f"{work.__name__} {type(error).__name__}")
                await asyncio.sleep(0.1)


def people(number: int) -> bytes:
    return b"".join(
        json.dumps(
            {
                "identityMap": {"Email": [{"id": f"p{n}@example.com", "primary": True}]},
                "person": {"name": {"firstName": "Ada"}},
            }
        ).encode()
        + b"\n"
        for n in range(number)
    )


class Server:
    """The gateway, in a directory of its own, which knows an issuer of tokens that never answers."""

    def __init__(self, directory: Path, issuer: str) -> None:
        keys = {"issuer": issuer, "audience": "gateway", "jwks_url": f"{issuer}/keys"}
        env = os.environ | {"GATEWAY_JWT_ISSUERS": json.dumps([keys])}
        command = [GATEWAY, "serve", "--port", "0", "--data-dir", directory]
        self.directory = directory
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[1].removesuffix("/graphql")

    def headers(self, *options: str) -> dict[str, str]:
        told = subprocess.check_output([GATEWAY, "token", "--json", "--data-dir", self.directory, *options])
        headers: dict[str, str] = json.loads(told)
        return headers

    def memory(self) -> float:
        """Return the memory that a process takes now, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


async def provide(wire: Wire) -> tuple[str, str]:
    """A dataset of records and one of events."""
    made = []
    for xdm_class, name in (("INDIVIDUAL_PROFILE", "records"), ("EXPERIENCE_EVENT", "events")):
        schema = (await wire.data(SCHEMA.replace('"S"', f'"{name}"'), c=xdm_class))["createSchema"]["schema"]["id"]
        made.append((await wire.data(DATASET, i=schema, n=name))["createDataset"]["dataset"]["id"])
    return made[0], made[1]


@asynccontextmanager
async def hanging_issuer() -> Any:
    """Takes connections and says nothing."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def watched(server: Server, caller: Caller, work: Any) -> tuple[Seen, float]:
    """Return the latencies of good callers while the work goes on, and the peak memory of the gateway."""
    caller.seen, most = Seen(), server.memory()
    going_on = asyncio.ensure_future(work)
    while not going_on.done():
        await asyncio.sleep(0.1)
        most = max(most, server.memory())
    await going_on
    return caller.seen, most


async def attacked(name: str, target: dict[str, Any], seconds: float) -> None:
    """Have another process attack."""
    command = [sys.executable, __file__, "--attack", name, "--seconds", str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE)
    try:
        async with asyncio.timeout(seconds + 60):
            await process.communicate(json.dumps(target).encode())
    finally:
        if process.returncode is None:
            process.kill()


def line(name: str, seen: Seen, memory: float, quiet: float) -> str:
    median, worst = statistics.median(seen.look_ups or [0]), max(seen.look_ups or [0])
    return (
        f"| {name:<52} | {len(seen.errors):>6} | {max(seen.pauses or [0]):>8,.0f} ms | {median:>7.1f} ms | {median / quiet:>5.1f} "
        f"| {worst:>7,.0f} ms | {len(seen.look_ups):>7,} | {seen.streams:>7} | {memory:>5.0f} MB |"
    )


HEAD = """| beside                                               | errors | worst pause | look-up    | times | worst      | look-ups | streams | memory   |
|------------------------------------------------------|--------|-------------|------------|-------|------------|---------|---------|----------|"""


async def soak(directory: Path, names: list[str], seconds: float) -> bool:
    """Run for a long time, and return whether all went well."""
    async with hanging_issuer() as issuer:
        server = Server(directory, issuer)
        tasks: list[asyncio.Task[None]] = []
        try:
            good = server.headers()
            async with Wire(server.url, good) as wire:
                records, _ = await provide(wire)
                await wire.stream(records, people(PEOPLE))
                await wire.data(SANDBOX)
            hostile = server.headers("--sandbox", "hostile")
            target: dict[str, Any] = {"url": server.url, "headers": hostile, "issuer": issuer, "big": "big@example.com"}
            async with Wire(server.url, hostile) as wire:
                target["records"], target["events"] = await provide(wire)
                big = {"identityMap": {"Email": [{"id": target["big"], "primary": True}]}}
                text = json.dumps(big | {"person": {"name": {"firstName": "x" * 95_000}}}).encode()
                await wire.stream(target["records"], text)
            caller = Caller(server.url, good, records)
            tasks = [asyncio.create_task(caller.go_on(work)) for work in (caller.probe, caller.look_up, caller.stream)]
            await asyncio.sleep(1)
            return await _attacks(server, caller, target, names, seconds)
        finally:
            for task in tasks:
                task.cancel()
            server.end()


async def _attacks(server: Server, caller: Caller, target: dict[str, Any], names: list[str], seconds: float) -> bool:
    seen, memory = await watched(server, caller, asyncio.sleep(QUIET_SECONDS))
    quiet = statistics.median(seen.look_ups)
    print(HEAD, line("nobody", seen, memory, quiet), sep="\n", flush=True)
    is_well = True
    for name in names:
        seen, memory = await watched(server, caller, attacked(name, target, seconds))
        print(line(name, seen, memory, quiet), flush=True)
        if seen.errors:
            print(f"    {', '.join(sorted(set(seen.errors)))}", flush=True)
        slow = statistics.median(seen.look_ups or [1e9]) > TIMES * quiet
        is_well = is_well and not (seen.errors or max(seen.pauses or [1e9]) > PAUSE or slow or memory > MEMORY)
        await asyncio.sleep(0.5)
    return is_well


def chosen(words: str) -> Iterable[str]:
    return (name for name in ATTACKS if any(word.strip() in name for word in words.split(",")))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=300, help="of all attacks together")
    options.add_argument("--only", default="", help="attacks that have one of these words in their name")
    options.add_argument("--attack", help=argparse.SUPPRESS)
    given = options.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    if given.attack:
        os.nice(5)  # an attacker's machine is not the gateway's
        target = Target(**json.load(sys.stdin), until=time.monotonic() + given.seconds)
        asyncio.run(run(given.attack, target))
        return
    names = list(chosen(given.only))
    with tempfile.TemporaryDirectory(prefix="gateway-hostile-") as home:
        Path(home).chmod(0o711)
        is_well = asyncio.run(soak(Path(home) / "data", names, given.seconds / len(names)))
    print("\nNobody was held up." if is_well else "\nSomebody was held up.")
    sys.exit(not is_well)


if __name__ == "__main__":
    main()
