"""The measure: one question, one statement, by hand. Starlette and asyncpg in one process, as an expert would write it.

    .venv/bin/python handler.py DSN

POST /{scenario} takes the same variables as the gateway, and answers with the same JSON, which Postgres writes. It knows the question
beforehand and asks for no credentials; nothing is checked that the gateway checks. It finds a person as the gateway does, by the
keyed hash of the identity, computed here for each request.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.config.namespaces import STANDARD
from gateway.domain.rules.graphs import xid_of
from gateway.domain.rules.normalization import NEWEST, RULES

SETTINGS = {
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}  # planning anew over partitions takes longer than running
NAMESPACES = {namespace.code: namespace for namespace in STANDARD}

# $1 sandbox, $2 the xid, or the xids in the order asked for, $3 policy.
PERSON = """'entity', json_build_object(
    'person', json_build_object('name', json_build_object(
        'firstName', p.document #> '{person,name,firstName}', 'lastName', p.document #> '{person,name,lastName}')),
    'personalEmail', json_build_object('address', p.document #> '{personalEmail,address}'),
    'homeAddress', json_build_object('city', p.document #> '{homeAddress,city}'),
    'loyalty', case when p.document ? 'loyalty' then json_build_object('tier', p.document #> '{loyalty,tier}') end)"""
EVENT = """json_build_object(
    'timestamp', to_char(e.timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'eventType', e.event_type,
    'entity', json_build_object(
        'web', json_build_object('webPageDetails', json_build_object('name', e.document #> '{web,webPageDetails,name}')),
        'commerce', case when e.document ? 'commerce'
                         then json_build_object('order', json_build_object('priceTotal', e.document #> '{commerce,order,priceTotal}')) end,
        'device', json_build_object('type', e.document #> '{device,type}')))"""
EVENTS = """'events', json_build_object('nodes', (
    select coalesce(json_agg({EVENT} order by e.timestamp desc, e.event_id desc), '[]')
      from (select e.*
              from unnest(g.xids) x (xid)
             cross join lateral (
                     select timestamp, event_id, event_type, document
                       from gateway.event
                      where sandbox_id = $1 and xid = x.xid
                      order by timestamp desc, event_id desc
                      limit {size}) e
             order by e.timestamp desc, e.event_id desc
             limit {size}) e))"""
MERGED = "join gateway.profile p on p.sandbox_id = $1 and p.policy_id = $3 and p.profile_id = i.profile_id"
GRAPH = "join gateway.graph g on g.sandbox_id = $1 and g.profile_id = i.profile_id"
ONE = """
    select json_build_object('data', json_build_object('profile', (
             select json_build_object({fields})
               from gateway.identity i {joins}
              where i.sandbox_id = $1 and i.xid = $2)))"""
MANY = """
    select json_build_object('data', json_build_object('profiles', json_agg(json_build_object(
             'status', case when i.profile_id is null then 'NOT_FOUND' else 'FOUND' end,
             'profile', case when i.profile_id is not null then json_build_object({fields}) end) order by asked.place)))
      from unnest($2::uuid[]) with ordinality asked (xid, place)
      left join (gateway.identity i {joins}) on i.sandbox_id = $1 and i.xid = asked.xid"""


def events(size: int) -> str:
    return EVENTS.format(EVENT=EVENT, size=size)


STATEMENTS = {
    "lookup": ONE.format(fields=PERSON, joins=MERGED),
    "newest": ONE.format(fields=f"{PERSON}, {events(10)}", joins=f"{MERGED} {GRAPH}"),
    "list": MANY.format(fields=f"{PERSON}, {events(10)}", joins=f"{MERGED} {GRAPH}"),
    "many": MANY.format(fields=PERSON, joins=MERGED),
    "page": ONE.format(fields=events(1_000), joins=GRAPH),
}


class Handler:
    """Answers out of the one sandbox of a gateway's database."""

    def __init__(self, pool: Any, sandbox: Any) -> None:
        self._pool = pool
        self._sandbox_id, self._secret, self._policy_id = sandbox

    @classmethod
    async def create(cls, dsn: str) -> "Handler":
        pool = await asyncpg.create_pool(dsn, min_size=10, max_size=10, reset=_nothing, server_settings=SETTINGS)
        sandbox = await pool.fetchrow(
            "select s.sandbox_id, s.secret, m.policy_id from gateway.sandbox s join gateway.merge_policy m using (sandbox_id) where s.is_default and m.is_default"
        )
        return cls(pool, sandbox)

    def answers(self, statement: str) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of a statement."""
        policy = [self._policy_id] if "$3" in statement else []

        async def endpoint(request: Request) -> Response:
            text = await self._pool.fetchval(
                statement, self._sandbox_id, self._wanted(orjson.loads(await request.body())), *policy
            )
            return Response(text, media_type="application/json")

        return endpoint

    def _wanted(self, asked: dict[str, Any]) -> UUID | list[UUID]:
        return (
            [self._xid(each["key"]) for each in asked["identities"]]
            if "identities" in asked
            else self._xid(asked["identity"]["key"])
        )

    def _xid(self, key: dict[str, str]) -> UUID:
        namespace = NAMESPACES[key["namespace"]]
        form = RULES[NEWEST].forms[namespace.normalization]
        return xid_of(self._secret, namespace.namespace_id, form(key["value"]))


async def _nothing(_: Any) -> None:
    """A connection goes back to the pool without a trip: nothing was set on it."""


async def main(dsn: str) -> None:
    handler = await Handler.create(dsn)
    routes = [Route(f"/{name}", handler.answers(text), methods=["POST"]) for name, text in STATEMENTS.items()]
    with socket.create_server(("127.0.0.1", 0)) as port:
        print(f"ready http://127.0.0.1:{port.getsockname()[1]}", flush=True)
        config = uvicorn.Config(Starlette(routes=routes), http="httptools", log_config=None, access_log=False)
        await uvicorn.Server(config).serve(sockets=[port])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
