"""The measure: one question, one statement, by hand. Starlette and asyncpg in one process, as an expert would write it.

    .venv/bin/python handler.py DSN

POST /{scenario} takes the same variables as the gateway, and answers with the same JSON, which Postgres writes. It knows the question
beforehand and asks for no credentials; nothing is checked that the gateway checks. It reads the plain tables of `rows.sql`, where each
value that is asked for has a column of its own type.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SETTINGS = {"jit": "off", "plan_cache_mode": "force_generic_plan"}
# $1 namespaces, $2 values; of many, arrays in the order asked for.
PERSON = """'entity', json_build_object(
    'person', json_build_object('name', json_build_object('firstName', p.first_name, 'lastName', p.last_name)),
    'personalEmail', json_build_object('address', p.email),
    'homeAddress', json_build_object('city', p.city),
    'loyalty', case when p.tier is not null then json_build_object('tier', p.tier) end)"""
EVENT = """json_build_object(
    'timestamp', to_char(e.timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'eventType', e.event_type,
    'entity', json_build_object(
        'web', json_build_object('webPageDetails', json_build_object('name', e.page)),
        'commerce', case when e.price_total is not null
                         then json_build_object('order', json_build_object('priceTotal', e.price_total)) end,
        'device', json_build_object('type', e.device)))"""
EVENTS = """'events', json_build_object('nodes', (
    select coalesce(json_agg({EVENT} order by e.timestamp desc, e.id), '[]')
      from (select id, timestamp, event_type, page, price_total, device
              from plain.event
             where person_id = p.id
             order by timestamp desc, id
             limit {size}) e))"""
ONE = """
    select json_build_object('data', json_build_object('profile', (
             select json_build_object({fields})
               from plain.identity i
               join plain.person p on p.id = i.person_id
              where i.namespace = $1 and i.value = $2)))"""
MANY = """
    select json_build_object('data', json_build_object('profiles', json_agg(json_build_object(
             'status', case when p.id is null then 'NOT_FOUND' else 'FOUND' end,
             'profile', case when p.id is not null then json_build_object({fields}) end) order by asked.place)))
      from unnest($1::text[], $2::text[]) with ordinality asked (namespace, value, place)
      left join plain.identity i on i.namespace = asked.namespace and i.value = asked.value
      left join plain.person p on p.id = i.person_id"""


def events(size: int) -> str:
    return EVENTS.format(EVENT=EVENT, size=size)


STATEMENTS = {
    "lookup": ONE.format(fields=PERSON),
    "newest": ONE.format(fields=f"{PERSON}, {events(10)}"),
    "list": MANY.format(fields=f"{PERSON}, {events(10)}"),
    "many": MANY.format(fields=PERSON),
    "page": ONE.format(fields=events(1_000)),
}


def answers(pool: Any, statement: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a statement."""

    async def endpoint(request: Request) -> Response:
        text = await pool.fetchval(statement, *_wanted(orjson.loads(await request.body())))
        return Response(text, media_type="application/json")

    return endpoint


def _wanted(asked: dict[str, Any]) -> tuple[Any, Any]:
    if "identity" in asked:
        return asked["identity"]["key"]["namespace"], asked["identity"]["key"]["value"]
    keys = [each["key"] for each in asked["identities"]]
    return [key["namespace"] for key in keys], [key["value"] for key in keys]


async def _nothing(_: Any) -> None:
    """A connection goes back to the pool without a trip: nothing was set on it."""


async def main(dsn: str) -> None:
    pool = await asyncpg.create_pool(dsn, min_size=10, max_size=10, reset=_nothing, server_settings=SETTINGS)
    routes = [Route(f"/{name}", answers(pool, text), methods=["POST"]) for name, text in STATEMENTS.items()]
    with socket.create_server(("127.0.0.1", 0)) as port:
        print(f"ready http://127.0.0.1:{port.getsockname()[1]}", flush=True)
        config = uvicorn.Config(Starlette(routes=routes), http="httptools", log_config=None, access_log=False)
        await uvicorn.Server(config).serve(sockets=[port])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
