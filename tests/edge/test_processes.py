"""A real hub and two real edges, each a process with a Postgres of its own: whichever is killed, nothing is missing afterwards."""

import asyncio
import json
import os
import random
import re
import signal
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from uuid import uuid5

import asyncpg
import httpx
import pytest
from people_dataset import NDJSON, create_dataset, run
from places import reachable_directory
from program import environment, gateway, server
from stalls import children

CODES = ("VA6", "OR2")
WRITERS, PEOPLE = 3, 10
"""Writers that work side by side, each on so many people of its own."""
CHANGES_BETWEEN = 12
"""How many calls of the writers lie between two deaths at least, and so many between a death and the return."""

ACTIVATE = "mutation ($input: UpdateMergePolicyInput!) { updateMergePolicy(input: $input) { mergePolicy { id } } }"
DESTINATION = """mutation ($input: ProjectionDestinationInput!) {
  createProjectionDestination(input: $input) { projectionDestination { id } userErrors { message } } }"""
CONFIGURATION = """mutation ($input: ProjectionConfigurationInput!) {
  createProjectionConfiguration(input: $input) { projectionConfiguration { id } userErrors { message } } }"""
SITE = {"name": "site", "selector": "person.name,identityMap", "events": {"selector": "_id"}}
LINK = "mutation ($input: LinkIdentitiesInput!) { %sIdentities(input: $input) { userErrors { message } } }"
ERASE = "mutation ($input: SystemJobInput!) { createSystemJob(input: $input) { userErrors { message } } }"
JOBS = "{ systemJobs(filter: {status: [NEW, PROCESSING]}) { nodes { type error } } }"
CENTERS = "{ dataCenters { code isReachable lagSeconds pendingChanges projections } }"


def identity(number):
    return {"namespace": "Email", "value": f"p{number}@example.com"}


def keyed(number):
    return {"key": identity(number)}


def named(number, name):
    return {"personalEmail": {"address": identity(number)["value"]}, "person": {"name": {"firstName": name}}}


@dataclass
class Network:
    """A hub, and edges in two data centres, any of which can end and be started again on what it left."""

    place: object
    running: dict = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)
    addresses: dict = field(default_factory=dict)
    dataset: str = ""

    def start(self, name):
        """Start the hub, or the edge of a data centre."""
        if name == "hub":
            edges = ",".join(f"{code}={address}" for code, address in self.addresses.items())
            started = server(self.place / name, env=environment(GATEWAY_EDGES=edges))
        else:
            started = server(self.place / name, "--data-center", name, command="edge")
        self.running[name] = self.stack.enter_context(started)
        if name in CODES:
            line = self.running[name].process.stdout.readline()
            self.addresses[name] = re.fullmatch(rf"hubs deliver to {name}=(\S+)\n", line)[1]

    def kill(self, name, *, with_postgres):
        """Kill a process, and every process of its Postgres."""
        assert self.running[name].end(signal.SIGKILL) == -signal.SIGKILL
        if with_postgres:
            pid = int((self.place / name / "postgres/postmaster.pid").read_text().splitlines()[0])
            for process in (pid, *children(pid)):
                with suppress(ProcessLookupError):  # one that ended by itself meanwhile
                    os.kill(process, signal.SIGKILL)

    def client(self):
        return self.running["hub"].client()

    def held(self, code, people, **headers):
        """What an edge answers for these people: of each the entity tag and the projection, None for nobody."""
        body = {"identities": [identity(number) for number in people]}
        given = self.running["hub"].own_headers | headers
        answer = httpx.post(f"{self.running[code].url}/projections/site", json=body, headers=given, timeout=60)
        assert answer.status_code == 200, answer.text
        results = answer.json()["results"]
        assert {each["status"] for each in results} <= {200, 404}, results
        return [
            None if each["status"] == 404 else (each["etag"], {name: each[name] for name in ("profile", "events")})
            for each in results
        ]

    def projected(self, client, people):
        """What the hub projects of these people, in the same form."""
        fields = (
            f'p{number}: projection(name: "site", identity: {{key: {{namespace: "Email", value: "p{number}@example.com"}}}}) {{ etag document }}'
            for number in people
        )  # fmt: skip
        found = run(client, f"{{ {' '.join(fields)} }}")
        return [each and (each["etag"], each["document"]) for each in found.values()]

    def verify(self):
        edges = ",".join(f"{code}={address}" for code, address in self.addresses.items())
        return gateway("verify", "--data-dir", self.place / "hub", env=environment(GATEWAY_EDGES=edges))

    def settle(self, client):
        """Wait until edges have every change, and jobs nothing else to do than to wait for edges."""
        while any(not (each["error"] or "").startswith("Edges") for each in run(client, JOBS)["systemJobs"]["nodes"]):
            pass
        behind = True
        while behind:
            told = {each["code"]: each for each in run(client, CENTERS)["dataCenters"]}
            behind = any(not told[code]["isReachable"] or told[code]["pendingChanges"] for code in CODES)


@pytest.fixture(scope="module")
def network():
    """A hub with people, all of whom two edges hold."""
    with reachable_directory() as path:
        net = Network(path)
        with net.stack:
            for name in (*CODES, "hub"):
                net.start(name)
            with net.client() as client:
                net.dataset = create_dataset(client)
                policy = run(client, "{ mergePolicies { nodes { id isDefault } } }")["mergePolicies"]["nodes"][0]
                run(client, ACTIVATE, input={"id": policy["id"], "isActiveOnEdge": True})
                given = {"dataCenters": list(CODES), "replicationPolicy": "PROACTIVE"}
                made = run(client, DESTINATION, input=given)["createProjectionDestination"]["projectionDestination"]
                told = run(client, CONFIGURATION, input=SITE | {"destinationId": made["id"]})
                assert told["createProjectionConfiguration"]["userErrors"] == []
                ingest(client, net, *(named(number, "first") for number in range(WRITERS * PEOPLE)))
                net.settle(client)
            yield net


def ingest(client, net, *documents):
    lines = "".join(f"{json.dumps(document)}\n" for document in documents)
    answer = client.post(f"/ingest/{net.dataset}", content=lines, headers=NDJSON).json()
    assert answer["accepted"] + answer["failedCount"] == len(documents), answer  # those of erased people are refused


class Writers:
    """Change, merge, split and erase people at the hub, side by side, until they are told to stop."""

    def __init__(self, net):
        self._net, self._stop, self._done = net, threading.Event(), threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        self.counts = dict.fromkeys(("change", "link", "unlink", "erase"), 0)
        self.faults = []

    def __enter__(self):
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for each in self._threads:
            each.join()
        assert self.faults == []

    def wait(self):
        """Wait for some more calls."""
        for _ in range(CHANGES_BETWEEN):
            assert self._done.acquire(timeout=60)

    def _write(self, writer):
        dice, own = random.Random(writer), [writer * PEOPLE + number for number in range(PEOPLE)]
        try:
            with self._net.client() as client:
                for number in count():
                    if self._stop.is_set():
                        return
                    self._once(client, dice, own, number)
                    self._done.release()
        except BaseException as error:
            self.faults.append(error)
            raise

    def _once(self, client, dice, own, number):
        what = ("change", "link", "change", "unlink", "erase")[number % 5]
        one, other = dice.sample(own, 2)
        if what == "change" or (what == "erase" and len(own) <= PEOPLE // 2):
            what = "change"
            ingest(client, self._net, *(named(each, f"name {number}") for each in (one, other)))
        elif what == "erase":
            own.remove(one)
            run(client, ERASE, input={"deleteProfile": {"identities": [keyed(one)]}})
        else:
            run(client, LINK % what, input={"a": keyed(one), "b": keyed(other)})
        self.counts[what] += 1


def test_an_edge_that_is_killed_under_load_misses_nothing(network):
    everybody = range(WRITERS * PEOPLE)
    with Writers(network) as writers:
        for with_postgres in (False, True):
            writers.wait()
            network.kill("VA6", with_postgres=with_postgres)
            writers.wait()
            network.start("VA6")
        writers.wait()
    assert all(writers.counts.values()), writers.counts
    with network.client() as client:
        network.settle(client)
        expected = network.projected(client, everybody)
    assert 0 < expected.count(None) < len(expected)
    for code in CODES:
        assert network.held(code, everybody) == expected
    told = network.verify()
    assert told.returncode == 0, told.stdout
    (compared,) = re.findall(r"edge VA6 (\d+) · edge OR2 (\d+)$", told.stdout, re.MULTILINE)
    assert compared[0] == compared[1] != "0"


def test_a_row_that_is_wrong_at_an_edge_and_one_that_is_missing_are_named_by_verify(network):
    asyncio.run(spoil(network, "OR2", "update edge.projection set profile = '{}', person = $2 where person = $1"))
    told = network.verify()
    found = re.findall(r"^prod: edge OR2 [0-9a-f-]{36}: site: (.*)$", told.stdout, re.MULTILINE)
    assert (told.returncode, sorted(found)) == (1, ["is missing", "there is no such person"])
    asyncio.run(spoil(network, "OR2", "update edge.projection set person = $1 where person = $2"))
    told = network.verify()
    found = re.findall(r"^prod: edge OR2 [0-9a-f-]{36}: site: (.*)$", told.stdout, re.MULTILINE)
    assert (told.returncode, found) == (1, ["another profile"])


async def spoil(network, code, statement):
    """Change what an edge has of one person, as a bug or an operator might: given the person, and another that is nobody."""
    owner = f"postgresql://gateway@/gateway?host={network.place / code}/socket&port=5432"
    connection = await asyncpg.connect(owner)
    person = await connection.fetchval(
        "select person from edge.identity where person is not null order by person limit 1"
    )
    await connection.execute(statement, person, uuid5(person, "nobody"))
    await connection.close()


def test_edges_answer_while_the_hub_is_gone(network):
    everybody, headers = range(WRITERS * PEOPLE), network.running["hub"].own_headers
    before = {code: network.held(code, everybody) for code in CODES}
    network.kill("hub", with_postgres=True)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{network.running['hub'].url}/healthz")
    for code in CODES:
        assert network.held(code, everybody) == before[code]
        somebody = next(identity(number)["value"] for number in everybody if before[code][number])
        answer = httpx.get(f"{network.running[code].url}/projections/site/Email/{somebody}", headers=headers)
        assert (answer.status_code, "age" in answer.headers) == (200, True)
