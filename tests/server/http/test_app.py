"""Guarantees of every route, and the routes for operators."""

import re

import asyncpg
import orjson
import structlog
from starlette.requests import Request
from starlette.routing import Route

from gateway.api.schema import print_sdl
from gateway.server.http.observability import Observability
from gateway.server.logs import error_description
from gateway.telemetry import listen


async def test_probes_and_metrics_respond(gateway):
    assert (await gateway.http.get("/healthz")).json() == {"status": "alive"}
    answer = await gateway.http.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    metrics = (await gateway.http.get("/metrics")).text
    assert 'gateway_request_seconds_count{method="GET",route="/readyz",status="200"} 1.0' in metrics
    assert 'gateway_statement_seconds_count{name="migrations.list_migrations"}' in metrics


async def test_readiness_fails_without_the_database_or_with_another_schema_version(gateway, cluster, dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute("insert into gateway.migration (name) values ('9999_tomorrow')")
    newer = await gateway.http.get("/readyz")
    await connection.execute("delete from gateway.migration where name > '0001_baseline'")
    old = await gateway.http.get("/readyz")
    await connection.close()
    await cluster.drop_database(dsn.partition("@/")[2].partition("?")[0])
    gone = await gateway.http.get("/readyz")
    assert (newer.status_code, old.status_code, gone.status_code) == (503, 503, 503)
    assert "has the schema 9999_tomorrow" in newer.json()["reason"]
    assert "has the schema 0001_baseline" in old.json()["reason"]
    assert (await gateway.http.get("/healthz")).status_code == 200


async def test_unusable_rows_are_counted_for_probes_and_not_named(gateway, dsn):
    await gateway.dataset(name="Members of the club")
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "update gateway.xdm_schema set custom_fields = '[1]', version = version + 1 where title = 'Members of the club'"
    )
    await connection.execute("update gateway.sandbox set config_version = config_version + 1")
    await connection.close()
    assert (await gateway.http.get("/readyz")).json() == {"status": "ready"}  # nobody has read them yet
    await gateway.run("{ datasets { totalCount } }")
    answer = await gateway.http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    (warning,) = answer.json()["warnings"]
    assert re.match(r"[12] rows of configuration", warning)
    assert "Members" not in answer.text


async def test_jobs_that_do_not_get_on_are_counted_for_probes_and_metrics(gateway, dsn):
    await gateway.dataset()
    connection = await asyncpg.connect(dsn)
    await connection.execute("""
        insert into gateway.job (sandbox_id, job_id, kind, subject, status, metrics, attempt, due_at, created_at, updated_at)
        select sandbox_id, gen_random_uuid(), 'ABORT_BATCH', gen_random_uuid(), 'NEW', '{}', attempt, 'infinity', now() - '1 hour'::interval, now()
          from gateway.sandbox, unnest(array[0, 3]) as attempt
    """)
    await connection.close()
    answer = await gateway.http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert answer.json()["warnings"] == ["1 jobs of type ABORT_BATCH do not get on; `gateway jobs list` tells why"]
    metrics = (await gateway.http.get("/metrics")).text
    assert 'gateway_open_jobs{kind="ABORT_BATCH"} 2.0' in metrics
    assert 'gateway_stalled_jobs{kind="ABORT_BATCH"} 1.0' in metrics
    assert 'gateway_stalled_jobs{kind="EXPIRE_JOBS"} 0.0' in metrics
    assert re.search(r'gateway_oldest_open_job_seconds{kind="ABORT_BATCH"} 36\d\d\.', metrics)


async def test_a_request_has_an_id_which_the_caller_may_choose(gateway):
    named = await gateway.http.get("/healthz", headers={"x-request-id": "order-66"})
    assert named.headers["x-request-id"] == "order-66"
    for odd in ["two words", "x" * 65, "é", "", "<script>"]:
        answer = await gateway.http.get("/healthz", headers={b"x-request-id": odd.encode()})
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])


async def test_an_unknown_route_or_method_is_answered_like_any_error(gateway):
    missing = await gateway.http.get("/nope")
    refused = await gateway.http.delete("/healthz")
    assert (missing.status_code, refused.status_code) == (404, 405)
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD"}
    for answer in (missing, refused):
        assert answer.json()["errors"][0]["extensions"] == {"code": "BAD_INPUT"}


async def test_large_answers_are_compressed_and_small_ones_are_not(gateway):
    headers = {"accept-encoding": "gzip"}
    assert (await gateway.http.get("/metrics", headers=headers)).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in (await gateway.http.get("/healthz", headers=headers)).headers


async def test_pages_of_other_origins_may_call_only_when_they_are_listed(gateway, start_gateway):
    asks = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    assert (await gateway.http.options("/healthz", headers=asks)).status_code == 405
    async with start_gateway(cors_origins="https://shop.example") as other:
        allowed = await other.http.options("/healthz", headers=asks | {"access-control-request-headers": "x-api-key"})
        assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
        stranger = await other.http.options("/healthz", headers=asks | {"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers


async def test_the_console_is_served_unless_it_is_off(gateway, start_gateway):
    page = await gateway.http.get("/graphiql", follow_redirects=True)
    assert page.status_code in {200, 503}  # 503 says how to build it
    assert "default-src 'self'" in page.headers["content-security-policy"]
    async with start_gateway(console=False) as other:
        assert (await other.http.get("/graphiql")).status_code == 404


async def test_the_schema_file_is_that_of_the_callers_sandbox_or_of_a_new_one(gateway):
    await gateway.run(
        """mutation { createSchema(input: {title: "Car", class: INDIVIDUAL_PROFILE, fieldGroups: [],
           customFields: {plate: {type: "string"}}}) { schema { id } } }"""
    )
    plain = await gateway.http.get("/schema.graphql")
    own = await gateway.http.get("/schema.graphql", headers=await gateway.headers())
    assert plain.text == print_sdl()
    assert "plate: String" in own.text
    assert "plate: String" not in plain.text
    refused = await gateway.http.get("/schema.graphql", headers={"authorization": "Bearer nonsense"})
    assert refused.status_code == 403


async def test_an_unexpected_error_is_masked_and_logged_under_its_id(gateway):
    async def breaks(_: Request) -> None:
        raise ValueError("ada@example.com is not a number")

    gateway.app.router.routes.append(Route("/breaks", breaks))
    with structlog.testing.capture_logs() as lines:
        answer = await gateway.http.get("/breaks")
    told = answer.json()["errors"][0]
    assert answer.status_code == 500
    assert told["extensions"] == {"code": "INTERNAL", "correlationId": answer.headers["x-request-id"]}
    assert "ada" not in answer.text
    fault, request = lines
    assert (fault["event"], fault["request_id"]) == ("unexpected error", told["extensions"]["correlationId"])
    assert (request["event"], request["route"], request["status"]) == ("request", "/breaks", 500)


def test_a_log_line_names_the_place_of_an_error_and_not_its_message():
    try:
        try:
            raise asyncpg.UniqueViolationError("Key (value)=(ada@example.com) already exists")
        except asyncpg.PostgresError as error:
            raise RuntimeError("ada@example.com") from error
    except RuntimeError as error:
        said = error_description(error)
    assert [link["type"] for link in said] == ["builtins.RuntimeError", "asyncpg.exceptions.UniqueViolationError"]
    assert said[1]["sqlstate"] == "23505"
    assert "ada" not in orjson.dumps(said).decode()


async def test_a_client_that_went_away_is_counted_too():
    async def gone(*_: object) -> None:
        pass  # answers nothing

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    seen = []
    end = listen(seen.append)
    await Observability(gone)(scope, None, None)
    end()
    assert [(one.route, one.status) for one in seen] == [("other", 499)]
