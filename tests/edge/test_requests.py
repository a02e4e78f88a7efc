"""Requests to an edge: what HTTP and GraphQL promise, for well-formed requests, for any others, and for more than can be served."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import orjson
import pytest
from asgi import ask
from cryptography.hazmat.primitives.asymmetric import ec
from edge.deliveries import ORGANIZATION, SIGNING, delivery, email_key, fill, headers, open_sandbox, projection, served
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from key_server import key_set
from signed import signed

from gateway.domain.config.tokens import Binding
from gateway.domain.edges import configurations, projections, sandboxes
from gateway.domain.edges.sandboxes import DeliveredIssuer
from gateway.domain.rules.scope import Permission
from gateway.server.edge.app import create_edge
from gateway.settings import read_settings

ORIGIN = "https://shop.example.com"
LONG = f'{{"text":"{"x" * 2_000}"}}'
NOW = datetime.now(UTC)
TIMES = [NOW - timedelta(days=days) for days in (1, 10, 40)]
ANA = projection(1, ["ana@example.com"], '{"name":"Ana"}', events=['{"n":1}', '{"n":2}', '{"n":3}'], times=TIMES)
BEN = projection(2, ["ben@example.com"], LONG)
BINDING = Binding(ANA.configuration_id, "Email", "ana@example.com")
EC_KEY = ec.generate_private_key(ec.SECP256R1())
SHOWN = '{"profile":{"name":"Ana"},"events":[{"n":1},{"n":2}],"projectedAt":"2026-11-30T12:00:00.000Z"}'


@asynccontextmanager
async def edge_over(dsn, **given):
    app = create_edge(read_settings(cors_origins=(ORIGIN,), edge_wait_seconds=0.001, **given), dsn)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def edge(store, edge_dsn):
    """The application over a store with two people, to which a hub has just delivered."""
    await fill(store, ANA, BEN)
    async with delivery(store) as tx:
        await sandboxes.confirm(tx, 1, "cursor", 0, [ANA.configuration_id])
    async with edge_over(edge_dsn) as app:
        yield app


def client(app, **options):
    given = {"headers": headers()} | options
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8100", **given)


async def test_a_projection_has_an_etag_and_is_sent_again_only_if_it_changed(edge, store):
    async with client(edge) as http:
        first = await http.get("/projections/shop/Email/%20ANA@example.com")
        assert (first.status_code, first.text) == (200, SHOWN)
        assert first.headers["cache-control"] == "private"
        assert first.headers["etag"] == f'"{ANA.etag}-2"'
        assert int(first.headers["age"]) >= 0
        for named in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
            again = await http.get("/projections/shop/Email/ana@example.com", headers={"if-none-match": named})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        other = await http.get("/projections/shop/Email/ana@example.com", headers={"if-none-match": '"other"'})
        assert other.status_code == 200
        head = await http.head("/projections/shop/Email/ana@example.com")
        assert (head.status_code, head.headers["etag"]) == (200, first.headers["etag"])
        assert head.headers["content-length"] == first.headers["content-length"]
        async with delivery(store) as tx:
            await configurations.switch(tx, 1, served())
        whole = await http.get("/projections/shop/Email/ana@example.com")
        assert (whole.headers["etag"], len(whole.json()["events"])) == (f'"{ANA.etag}"', 3)


async def test_a_long_projection_is_compressed_with_an_etag_of_its_own(edge):
    async with client(edge) as http:
        packed = await http.get("/projections/shop/Email/ben@example.com", headers={"accept-encoding": "gzip"})
        plain = await http.get("/projections/shop/Email/ben@example.com", headers={"accept-encoding": "identity"})
        assert (packed.headers["content-encoding"], packed.headers["etag"]) == ("gzip", f'"{BEN.etag}-gzip"')
        assert "Accept-Encoding" in packed.headers["vary"]
        assert (plain.headers["etag"], plain.text) == (f'"{BEN.etag}"', packed.text)
        for each in (packed, plain):
            known = {"if-none-match": each.headers["etag"], "accept-encoding": "gzip"}
            again = await http.get("/projections/shop/Email/ben@example.com", headers=known)
            assert (again.status_code, again.headers["etag"]) == (304, each.headers["etag"])


async def test_many_projections_come_in_the_order_asked_for_each_with_a_status(edge, store):
    async with delivery(store) as tx:
        await projections.set_absent(tx, 1, ANA.configuration_id, 1, [email_key("absent@example.com")])
        await sandboxes.note_cursor(tx, 1, "cursor")
    asked = ["ana@example.com", "absent@example.com", "never@example.com", "", "ben@example.com", "ana@example.com"]
    body = {"identities": [{"namespace": "Email", "value": each} for each in asked]}
    body["identities"].append({"namespace": "Nothing", "value": "x"})
    async with client(edge) as http:
        answer = await http.post("/projections/shop", json=body)
        results = answer.json()["results"]
        assert [each["status"] for each in results] == [200, 404, 503, 400, 200, 200, 400]
        assert results[0] == results[5]
        assert {name: results[0][name] for name in ("profile", "events", "projectedAt")} == orjson.loads(SHOWN)
        assert (results[0]["etag"], results[4]["etag"]) == (f"{ANA.etag}-2", BEN.etag)
        assert results[1]["errors"][0]["message"] == "Nobody has this identity."
        assert (await http.post("/projections/shop", json={"identities": []})).json() == {"results": []}
        too_many = {"identities": [{"namespace": "Email", "value": "x"}] * 1_001}
        assert (await http.post("/projections/shop", json=too_many)).status_code == 413


QUERY = """query Look($ana: IdentityInput!, $all: [IdentityInput!]!) {
  projection(name: "shop", identity: $ana) { profile events projectedAt etag age }
  projections(name: "shop", identities: $all) { etag }
}"""


async def test_graphql_tells_the_same_and_an_error_where_something_is_lacking(edge):
    ana, never = ({"namespace": "Email", "value": f"{who}@example.com"} for who in ("ana", "never"))
    async with client(edge) as http:
        answer = await http.post("/graphql", json={"query": QUERY, "variables": {"ana": ana, "all": [ana, never]}})
        data, (error,) = answer.json()["data"], answer.json()["errors"]
        assert {name: data["projection"][name] for name in ("profile", "events", "projectedAt")} == orjson.loads(SHOWN)
        assert data["projections"] == [{"etag": f"{ANA.etag}-2"}, None]
        assert (error["path"], error["extensions"]["code"]) == (["projections", 1], "UNAVAILABLE")
        for query, code in (("{", "GRAPHQL_PARSE_FAILED"), ("{ nothing }", "GRAPHQL_VALIDATION_FAILED")):
            refused = await http.post("/graphql", json={"query": query})
            assert refused.json()["errors"][0]["extensions"]["code"] == code
        for wrong in ({"query": QUERY}, {"query": "{ __typename }", "operationName": "Other"}):
            refused = await http.post("/graphql", json=wrong)
            assert {each["extensions"]["code"] for each in refused.json()["errors"]} == {"BAD_INPUT"}
        many = " ".join(f'a{n}: projection(name: "shop", identity: $ana) {{ age }}' for n in range(21))
        query = f"query Look($ana: IdentityInput!) {{ {many} }}"
        over = await http.post("/graphql", json={"query": query, "variables": {"ana": ana}})
        assert over.json()["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


async def test_a_bound_token_opens_one_projection_on_every_route(edge):
    bound = headers(bound_to=Binding(ANA.configuration_id, "Email", "ana@example.com"))
    ana, ben = ({"namespace": "Email", "value": f"{who}@example.com"} for who in ("ana", "ben"))
    async with client(edge, headers=bound) as http:
        body = {"identities": [ana, ben, {"namespace": "Nothing", "value": "ana@example.com"}]}
        results = (await http.post("/projections/shop", json=body)).json()["results"]
        assert [each["status"] for each in results] == [200, 403, 403]
        answer = await http.post("/graphql", json={"query": QUERY, "variables": {"ana": ana, "all": [ana, ben]}})
        assert answer.json()["data"]["projections"] == [{"etag": f"{ANA.etag}-2"}, None]
        assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert (await http.get("/projections/cart/Email/ana@example.com")).status_code == 403


async def test_only_who_may_read_profiles_is_answered_and_only_by_keys_whose_public_half_was_delivered(edge):
    wrong = {
        403: [
            headers(scopes=[Permission.CONFIG_WRITE]),
            headers(name="other"),
            headers() | {"x-sandbox-name": "other"},
        ],
        401: [
            headers(key=type(SIGNING)("ed25519:another")),
            headers()
            | {"authorization": f"Bearer {signed('x' * 32, ANA.configuration_id, [Permission.PROFILE_READ])}"},
            headers() | {"authorization": "Bearer nonsense"},
            headers() | {"x-api-key": "unknown"},
        ],
        400: [{name: value for name, value in headers().items() if name != "x-gw-ims-org-id"}],
    }
    for status, all_given in wrong.items():
        for each in all_given:
            async with client(edge, headers=each) as http:
                path, many = "/projections/shop/Email/ana@example.com", {"identities": []}
                asked = http.get(path), http.head(path), http.post("/projections/shop", json=many)
                graphql = http.post("/graphql", json={"query": "{ __typename }"})
                assert [(await one).status_code for one in (*asked, graphql)] == [status] * 4, each
    async with client(edge) as http:
        missing = await http.get("/projections/nothing/Email/ana@example.com")
        assert (missing.status_code, missing.json()["errors"][0]["message"]) == (
            404,
            "There is no projection configuration of this name here.",
        )


async def test_a_token_of_another_issuer_is_taken_by_the_rules_and_keys_that_were_delivered(edge, store):
    keys = key_set(ec=EC_KEY).decode()
    idp = DeliveredIssuer("https://idp.example", "gateway", ["ES256"], 60.0, keys)

    async def status(key=EC_KEY, kid="ec", **changes):
        claims = {
            "iss": idp.issuer,
            "aud": "gateway",
            "org": str(ORGANIZATION),
            "sandboxes": ["prod"],
            "scope": "profile:read",
        }
        claims |= {"exp": datetime.now(UTC) + timedelta(minutes=1)} | changes
        token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": kid})
        async with client(edge, headers=headers() | {"authorization": f"Bearer {token}"}) as http:
            return (await http.get("/projections/shop/Email/ana@example.com")).status_code

    async def deliver(**changes):
        async with delivery(store) as tx:
            await sandboxes.deliver_sandbox(tx, open_sandbox(issuers=[replace(idp, **changes)]))

    ago = datetime.now(UTC) - timedelta(seconds=30)
    assert await status() == 401
    await deliver()
    assert [await status(), await status(exp=ago), await status(sandboxes=["*"])] == [200] * 3
    refused = [
        {"aud": "other"}, {"key": ec.generate_private_key(ec.SECP256R1())}, {"kid": "other"}, {"iss": "profile-gateway"},
        {"exp": ago - timedelta(minutes=1)}, {"projection": BINDING.claim},
    ]  # fmt: skip
    assert [await status(**each) for each in refused] == [401] * len(refused)
    assert [await status(scope="config:write"), await status(sandboxes=["other"])] == [403] * 2
    for changed in ({"algorithms": ["RS256"]}, {"keys": '{"keys": []}'}):
        await deliver(**changed)
        assert await status(sub="somebody") == 401
        await deliver()
        assert await status(sub="somebody") == 200


async def test_pages_of_listed_origins_may_ask_and_read_what_they_need_and_others_may_not(edge):
    asking = {"access-control-request-method": "GET", "access-control-request-headers": "authorization,if-none-match"}
    async with client(edge) as http:
        path = "/projections/shop/Email/ana@example.com"
        allowed = await http.options(path, headers=asking | {"origin": ORIGIN})
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, ORIGIN)
        answer = await http.get(path, headers={"origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert {"age", "etag"} <= set(answer.headers["access-control-expose-headers"].lower().split(", "))
        assert (await http.options(path, headers=asking | {"origin": "https://evil.example"})).status_code == 400
        refused = await http.get(path, headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in refused.headers


SEGMENTS = st.sampled_from(
    ["shop", "cart", "Email", "%00", "%ff", "%", "%2f", "..", "ana@example.com", "x" * 9_000, ""]
)
NAMES = st.sampled_from(["identities", "namespace", "value", "query", "variables", "operationName"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "shop", "Email", "{ projection }", "\0"]),
    lambda of: st.lists(of, max_size=2) | st.dictionaries(NAMES, of, max_size=3),
    max_leaves=8,
)
BODIES = st.binary(max_size=40) | JSON.map(orjson.dumps)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "BREW"]),
    st.one_of(st.just("/graphql"), st.lists(SEGMENTS, max_size=5).map(lambda parts: "/projections/" + "/".join(parts))),
    st.tuples(
        st.sampled_from(["application/json", "text/plain", ""]),
        st.sampled_from(["*/*", "nonsense", "application/graphql-response+json"]),
    ),
    BODIES,
)
async def test_nothing_that_is_sent_breaks_an_edge(edge, method, path, media_types, body):
    content_type, accept = media_types
    given = {**headers(), "content-type": content_type, "accept": accept, "if-none-match": '"'}
    lines = [(name.encode(), value.encode()) for name, value in given.items()]
    answer = await ask(edge, method, path, [*lines, (b"content-length", b"%d" % len(body))], body)
    assert answer.status < 500 or (answer.status == 503 and path.startswith("/projections/")), answer


async def test_requests_beyond_what_can_be_served_get_503_and_the_others_are_served(store, edge_dsn):
    await fill(store, ANA)
    path = "/projections/shop/Email/ana@example.com"
    async with edge_over(edge_dsn, requests_at_once=1, requests_waiting=2) as app, client(app) as http:
        assert (await http.get(path)).status_code == 200
        answers = await asyncio.gather(*(http.get(path) for _ in range(20)))
        refused = [each for each in answers if each.status_code == 503]
        assert {each.status_code for each in answers} == {200, 503}
        assert all(each.headers["retry-after"] == "1" for each in refused)
        assert (await http.get(path)).status_code == 200
        told = (await http.get("/metrics")).text
        assert 'gateway_edge_lookups_total{outcome="held"}' in told
        assert (await http.get("/readyz")).json() == {"status": "ready"}


async def test_one_lookup_runs_one_statement_once_its_caller_is_known(edge, statements):
    async with client(edge) as http:
        await http.get("/projections/shop/Email/ana@example.com")
        with statements() as ran:
            await http.get("/projections/shop/Email/ana@example.com")
        assert ran == ["edge.projections.look_up"]


async def test_lookups_of_one_moment_share_statements_and_each_gets_its_own_answer(edge, store, statements):
    async with delivery(store) as tx:
        await projections.set_absent(tx, 1, ANA.configuration_id, 1, [email_key("absent@example.com")])
        await sandboxes.note_cursor(tx, 1, "cursor")
    asked = ["ana", "ben", "absent", "ana", "ben"] * 8
    async with client(edge) as http:
        await http.get("/projections/shop/Email/ana@example.com")
        with statements() as ran:
            paths = [f"/projections/shop/Email/{who}@example.com" for who in asked]
            answers = await asyncio.gather(*map(http.get, paths))
    assert set(ran) == {"edge.projections.look_up"}
    assert len(ran) < len(asked) / 4
    etags = {"ana": f'"{ANA.etag}-2"', "ben": f'"{BEN.etag}-gzip"', "absent": None}
    assert [each.headers.get("etag") for each in answers] == [etags[who] for who in asked]
    assert [each.status_code for each in answers] == [404 if who == "absent" else 200 for who in asked]


async def test_what_is_delivered_of_one_configuration_or_of_keys_leaves_the_other_configurations_served(edge, store):
    cart = projection(1, ["ana@example.com"], number=2)
    async with delivery(store) as tx:
        await projections.deliver(tx, 1, [cart])
    deliveries = (
        lambda tx: configurations.switch(tx, 1, served(2, name="cart", policy="PROACTIVE")),
        lambda tx: configurations.switch(tx, 1, served(3, name="third")),
        lambda tx: configurations.stop_serving(tx, 1, served(3).configuration_id),
        lambda tx: sandboxes.deliver_sandbox(tx, open_sandbox(digest="second")),
    )
    async with client(edge) as http:
        for deliver in deliveries:
            for name in ("shop", "cart"):
                assert (await http.get(f"/projections/{name}/Email/ana@example.com")).status_code == 200
            async with delivery(store) as tx:
                await deliver(tx)
            for name in ("cart", "shop"):
                assert (await http.get(f"/projections/{name}/Email/ana@example.com")).status_code == 200
        async with delivery(store) as tx:
            await sandboxes.deliver_sandbox(tx, open_sandbox(api_keys=[], digest="third"))
        assert (await http.get("/projections/shop/Email/ana@example.com")).status_code == 401


async def test_every_process_of_an_edge_knows_what_was_delivered_at_its_next_request(edge, edge_dsn, store):
    path = "/projections/shop/Email/ana@example.com"
    async with edge_over(edge_dsn) as other, client(edge) as first, client(other) as second:
        for deliver, status in (
            (lambda tx: configurations.switch(tx, 1, served(edition=2)), 503),
            (lambda tx: projections.deliver(tx, 1, [replace(ANA, edition=2)]), 200),
            (lambda tx: projections.remove(tx, 1, [ANA.person], erased=True), 404),
            (lambda tx: sandboxes.deliver_sandbox(tx, open_sandbox(api_keys=[], digest="second")), 401),
        ):
            for http in (first, second):
                await http.get(path)
            async with delivery(store) as tx:
                await deliver(tx)
            assert [(await http.get(path)).status_code for http in (first, second)] == [status, status]


async def test_a_lookup_that_begins_once_a_delivery_is_acknowledged_gets_what_it_brought_though_others_are_under_way(
    edge, store
):
    path = "/projections/shop/Email/ana@example.com"
    async with client(edge) as http:
        await http.get(path)
        for number in range(20):
            before = [asyncio.ensure_future(http.get(path)) for _ in range(10)]
            await asyncio.sleep(0)
            name = f'{{"name":"{number}"}}'
            async with delivery(store) as tx:
                await projections.deliver(tx, 1, [projection(1, ["ana@example.com"], name)])
            after = await asyncio.gather(*(http.get(path) for _ in range(10)))
            assert {each.json()["profile"]["name"] for each in after} == {f"{number}"}
            await asyncio.gather(*before)
        async with delivery(store) as tx:
            await projections.remove(tx, 1, [ANA.person], erased=True)
        assert {each.status_code for each in await asyncio.gather(*(http.get(path) for _ in range(10)))} == {404}
