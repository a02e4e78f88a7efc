"""What a real edge answers when no hub is there any more: the table of the documents, cell by cell; and what it does when it is killed."""

import asyncio
import os
import signal
from dataclasses import dataclass

import asyncpg
import httpx
import pytest
from edge.deliveries import (
    API_KEY,
    EXPIRED,
    ORGANIZATION,
    SIGNING,
    delivery,
    email_key,
    fill,
    headers,
    open_sandbox,
    projection,
    token,
)
from places import reachable_directory
from program import Server, environment, server

from gateway.domain.config.tokens import Binding, signing_key_hash
from gateway.domain.edges import projections, sandboxes, wanted
from gateway.domain.edges.sandboxes import DeliveredRevocation
from gateway.storage.database import Database

SHOP, CART = projection(0, []).configuration_id, projection(0, [], number=2).configuration_id
PID = os.getpid()
HOST, PORT = f"127.{64 + (PID >> 16 & 63)}.{PID >> 8 & 255}.{PID & 255 or 1}", 5_433
"""Where nobody else of this machine listens."""
HELD = {
    ("shop", "held"): "3 h",
    ("cart", "held"): "5 min",
    ("cart", "old"): "3 h",
}
"""When each projection was delivered."""


@dataclass
class Edge:
    """A real edge, and the addresses of its store: at which a hub delivers by TCP, and its owner's, by the socket."""

    process: Server
    address: str

    @property
    def owner(self):
        return f"postgresql://gateway@/gateway?host={self.process.data_dir / 'socket'}&port={PORT}"

    async def get(self, configuration, value, **options):
        given = {"headers": headers()} | options
        async with httpx.AsyncClient(base_url=self.process.url, timeout=60) as client:
            return await client.get(f"/projections/{configuration}/Email/{value}@example.com", **given)

    async def run(self, statement):
        connection = await asyncpg.connect(self.owner)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="module")
def place():
    with reachable_directory() as path:
        yield path


def started(place):
    env = environment(GATEWAY_EDGE_WAIT_SECONDS="60")
    return server(place / "data", "--data-center", "VA6", "--listen", f"{HOST}:{PORT}", command="edge", env=env)


def address_of(process):
    """The address that an edge prints, with the password that it keeps."""
    address = f"postgresql://gateway_hub@{HOST}:{PORT}/gateway"
    assert process.process.stdout.readline() == f"hubs deliver to VA6={address}\n"
    return address.replace("@", f":{(process.data_dir / 'hub.password').read_text().strip()}@")


@pytest.fixture(scope="module")
async def edge(place):
    """An edge to which a hub has delivered, and was not heard of for an hour."""
    with started(place) as process:
        edge = Edge(process, address_of(process))
        hub = await Database.connect(edge.address, size=2)
        held = [
            projection(number, [f"{state}@example.com"], f'{{"of":"{state}"}}', number=1 if name == "shop" else 2)
            for number, (name, state) in enumerate(HELD)
        ]
        await fill(hub, *held, projection(9, ["erased@example.com"]), projection(9, ["erased@example.com"], number=2))
        async with delivery(hub) as tx:
            for configuration in (SHOP, CART):
                await projections.set_absent(tx, 1, configuration, 1, [email_key("absent@example.com")])
            await projections.remove(tx, 1, [projection(9, []).person], erased=True)
            await sandboxes.confirm(tx, 1, "cursor", 0, [SHOP, CART])
        await hub.close()
        for number, age in enumerate(HELD.values()):
            person = projection(number, []).person
            await edge.run(
                f"update edge.projection set delivered_at = now() - interval '{age}' where person = '{person}'"
            )
        await edge.run("update edge.sandbox set heard_at = now() - interval '1 h'")
        await edge.run("update edge.configuration set confirmed_at = now() - interval '1 h'")
        await edge.run("update edge.identity set absent_until = now() + interval '1 h' where absent_until < 'infinity'")
        yield edge


HOUR = 3_600
CELLS = [
    ("shop", "held", 200, (HOUR, 3 * HOUR)),
    ("cart", "held", 200, (300, 600)),
    ("cart", "old", 200, (3 * HOUR, 4 * HOUR)),
    ("shop", "never", 503, None),
    ("cart", "never", 503, None),
    ("shop", "absent", 404, None),
    ("cart", "absent", 404, None),
    ("shop", "erased", 404, None),
    ("cart", "erased", 404, None),
]


@pytest.mark.parametrize(("configuration", "state", "status", "ages"), CELLS)
async def test_each_state_is_answered_as_the_documents_say(edge, configuration, state, status, ages):
    answer = await edge.get(configuration, state)
    assert answer.status_code == status
    if ages:
        assert answer.json() == {"profile": {"of": state}, "events": [], "projectedAt": "2026-11-30T12:00:00.000Z"}
        assert ages[0] <= int(answer.headers["age"]) < ages[1]
    assert ("retry-after" in answer.headers) == (status == 503)
    noted = await edge.run(f"select value from edge.wanted where identity = '{email_key(f'{state}@example.com')}'")
    is_noted = state in {"never", "old"}
    assert {row["value"] for row in noted} == ({f"{state}@example.com"} if is_noted else set())


async def test_an_erased_person_is_not_found_whatever_the_token_says(edge):
    bound = headers(bound_to=Binding(SHOP, "Email", "erased@example.com"))
    assert (await edge.get("shop", "erased", headers=bound)).status_code == 404


async def test_an_expired_token_is_refused(edge):
    answer = await edge.get("shop", "held", headers=headers(lifetime=EXPIRED))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')


async def test_what_was_revoked_is_refused_from_its_delivery_on_and_served_until_then(edge):
    hub = await Database.connect(edge.address, size=1)
    revocation = DeliveredRevocation(signing_key_hash(SIGNING.key_id), None)
    for delivered in (open_sandbox(api_keys=[]), open_sandbox(revocations=[revocation])):
        assert (await edge.get("shop", "held")).status_code == 200
        async with delivery(hub) as tx:
            await sandboxes.deliver_sandbox(tx, delivered)
        assert (await edge.get("shop", "held")).status_code == 401
        async with delivery(hub) as tx:
            await sandboxes.deliver_sandbox(tx, open_sandbox())
    assert (await edge.get("shop", "held")).status_code == 200
    await hub.close()


async def test_a_hub_that_is_back_answers_what_is_wanted_and_the_request_waits_for_it(edge):
    await edge.run("update edge.sandbox set heard_at = now() + interval '1 day'")
    await edge.run("delete from edge.wanted")
    hub = await Database.connect(edge.address, size=2)
    requests = [asyncio.ensure_future(edge.get("cart", who)) for who in ("late", "nobody")]
    wants = []
    with hub.waiter(wanted.Channel.EDGE_WANTED) as waiter:
        while len(wants) < 2:
            wants = await wanted.list_wanted(hub, 10)
            await waiter.wait(0.05)
    async with delivery(hub) as tx:
        await projections.deliver(tx, 1, [projection(20, ["late@example.com"], '{"of":"late"}', number=2)])
        await projections.set_absent(tx, 1, CART, 1, [email_key("nobody@example.com")])
        await wanted.answer(tx, 1, wants)
    late, nobody = [await each for each in requests]
    assert (late.status_code, late.json()["profile"]) == (200, {"of": "late"})
    assert nobody.status_code == 404
    await hub.close()
    await edge.run("update edge.sandbox set heard_at = now() - interval '1 h'")


async def test_a_page_in_a_browser_sees_with_a_bound_token_its_one_projection_and_nothing_else(edge):
    bound = {"authorization": f"Bearer {token(bound_to=Binding(CART, 'Email', 'old@example.com'))}"}
    assert (await edge.get("cart", "old", headers=bound)).json()["profile"] == {"of": "old"}
    assert (await edge.get("cart", "OLD", headers=bound)).status_code == 200
    for configuration, who in (("cart", "held"), ("shop", "old"), ("shop", "held"), ("cart", "never")):
        assert (await edge.get(configuration, who, headers=bound)).status_code == 403
    wrong = bound | {"x-gw-ims-org-id": str(CART)}
    assert (await edge.get("cart", "old", headers=wrong)).status_code == 403
    own = {"authorization": bound["authorization"], "x-api-key": API_KEY, "x-gw-ims-org-id": str(ORGANIZATION)}
    assert (await edge.get("cart", "old", headers=own)).status_code == 200


async def test_by_tcp_comes_only_the_role_of_hubs_and_only_with_its_password(edge):
    connection = await asyncpg.connect(edge.address)
    assert await connection.fetchval("select current_user") == "gateway_hub"
    await connection.close()
    for address in (f"gateway_hub:wrong@{HOST}:{PORT}", f"gateway@{HOST}:{PORT}"):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(f"postgresql://{address}/gateway")


async def test_an_edge_that_was_killed_serves_what_it_had(place, edge):
    before = await edge.get("shop", "held")
    assert edge.process.end(signal.SIGKILL) != 0
    with started(place) as process:
        again = Edge(process, address_of(process))
        assert again.address == edge.address
        answer = await again.get("shop", "held")
        assert (answer.status_code, answer.content) == (200, before.content)
        assert answer.headers["etag"] == before.headers["etag"]
