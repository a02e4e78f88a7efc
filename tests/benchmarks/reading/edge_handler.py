"""The measure of look-ups at an edge: Starlette and asyncpg, one fetch of the same row by its key, and no question asked.

    .venv/bin/python edge_handler.py DSN

GET /{key of an identity} answers with the same JSON as the edge. It asks for no credentials, and knows no age, no ETag and no miss.
"""

import asyncio
import socket
import sys
from typing import Any

import asyncpg
import uvicorn
import uvloop
from handler import SETTINGS
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ROW = """
    select '{"profile":' || p.profile || ',"events":[' || array_to_string(p.events, ',') || '],"projectedAt":"'
           || to_char(p.projected_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"}'
      from edge.identity i
      join edge.projection p
        on p.sandbox_id = 1 and p.person = i.person and p.configuration_id = i.configuration_id and p.edition = i.edition
     where i.sandbox_id = 1 and i.identity = $1"""


async def _nothing(_: Any) -> None:
    """A connection goes back to the pool without a trip: nothing was set on it."""


async def main(dsn: str) -> None:
    pool = await asyncpg.create_pool(dsn, min_size=10, max_size=10, reset=_nothing, server_settings=SETTINGS)

    async def endpoint(request: Request) -> Response:
        return Response(await pool.fetchval(ROW, request.path_params["key"]), media_type="application/json")

    with socket.create_server(("127.0.0.1", 0)) as port:
        print(f"ready http://127.0.0.1:{port.getsockname()[1]}", flush=True)
        app = Starlette(routes=[Route("/{key:uuid}", endpoint)])
        config = uvicorn.Config(app, http="httptools", log_config=None, access_log=False)
        await uvicorn.Server(config).serve(sockets=[port])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
