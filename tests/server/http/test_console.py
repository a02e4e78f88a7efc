"""The served page and its links, and GraphiQL in a real browser against a server that shows what it is sent."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import strawberry
import uvicorn
from graphql import OperationDefinitionNode, parse
from playwright.async_api import Request
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount, Route, WebSocketRoute
from strawberry.asgi import GraphQL

from gateway.server.http.console import BUILT, console_link, console_routes

EXAMPLES = BUILT.parent / "page" / "examples"
HEADERS = {
    "Authorization": "Bearer a.b-c_d",
    "x-api-key": "key+/=&1",
    "x-gw-ims-org-id": "ACME@Org",
    "x-sandbox-name": "prod",
}

# What makes a browser load something: a tag, a stylesheet's url() or @import, a module, a fetch, a worker.
LOADS_FROM_OUTSIDE = re.compile(
    r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//
      | url\(\s*["']?(?:https?:)?//
      | @import\s+["'](?:https?:)?//
      | \b(?:import|fetch|importScripts|Worker|WebSocket|EventSource)\(\s*["'`](?:https?:|wss?:)?//
      | \bfrom\s*["'](?:https?:)?//""",
    re.VERBOSE,
)


# ---------------------------------------------------------------------------------------------- what is served


def client(built: Path, prefix: str = "") -> httpx.AsyncClient:
    app = Starlette(routes=[Mount(prefix, routes=console_routes(built))])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


async def test_the_page_may_load_nothing_from_outside(built_console: Path) -> None:
    async with client(built_console) as http:
        answer = await http.get("/graphiql/")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert answer.status_code == 200
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "script-src" not in policy
    assert not re.search(r"http|\*|unsafe-eval", answer.headers["content-security-policy"])
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_hashed_files_are_kept_and_the_page_is_asked_for_again(built_console: Path) -> None:
    async with client(built_console) as http:
        page = await http.get("/graphiql/")
        script = re.findall(r'src="\./(assets/[^"]+\.js)"', page.text)[0]
        asset = await http.get(f"/graphiql/{script}")
        again = await http.get("/graphiql/", headers={"if-none-match": page.headers["etag"]})
    assert page.headers["cache-control"] == "no-cache"
    assert "immutable" in asset.headers["cache-control"]
    assert again.status_code == 304
    assert "content-security-policy" in asset.headers.keys() & again.headers.keys()


async def test_the_address_without_a_slash_leads_to_the_page_under_any_prefix(built_console: Path) -> None:
    async with client(built_console, "/behind/a/proxy") as http:
        answer = await http.get("/behind/a/proxy/graphiql", follow_redirects=True)
    assert answer.url.path == "/behind/a/proxy/graphiql/"
    assert "<title>Profile gateway</title>" in answer.text


def test_no_built_file_loads_from_outside(built_console: Path) -> None:
    texts = [path for path in built_console.rglob("*") if path.suffix in {".html", ".js", ".css", ".svg"}]
    assert len(texts) > 5
    for path in texts:
        found = LOADS_FROM_OUTSIDE.search(path.read_text("utf-8"))
        assert found is None, f"{path.name}: {found and found.string[found.start() : found.end() + 60]}"


@pytest.mark.parametrize("path", ["/graphiql", "/graphiql/", "/graphiql/assets/index.js"])
async def test_without_a_built_page_it_says_what_to_do(tmp_path: Path, path: str) -> None:
    async with client(tmp_path) as http:
        answer = await http.get(path)
    assert answer.status_code == 503
    assert "pip install" in answer.text
    assert "Node" in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]


# ---------------------------------------------------------------------------------------------- links and examples


def test_a_link_carries_the_headers_in_its_fragment_only() -> None:
    link = urlsplit(console_link("http://127.0.0.1:8000/", HEADERS | {"accept": "*/*"}))
    assert link._replace(fragment="").geturl() == "http://127.0.0.1:8000/graphiql"
    assert parse_qs(link.fragment) == {
        "token": ["a.b-c_d"],
        "apiKey": ["key+/=&1"],
        "org": ["ACME@Org"],
        "sandbox": ["prod"],
    }


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.rglob("*.graphql")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_an_example_says_what_it_shows_and_names_its_tab(path: Path) -> None:
    text = path.read_text("utf-8")
    operations = [node for node in parse(text).definitions if isinstance(node, OperationDefinitionNode)]
    assert text.startswith("# ")
    assert [operation.name is not None for operation in operations] == [True]


# ---------------------------------------------------------------------------------------------- in a browser


@strawberry.type
class Query:
    @strawberry.field(description="The value of a header of this very request.")
    def header(self, info: strawberry.Info, name: str) -> str | None:
        return info.context["request"].headers.get(name)


@strawberry.type
class Subscription:
    @strawberry.subscription(description="What a header of the connection was, once.")
    async def header(self, info: strawberry.Info, name: str) -> AsyncIterator[str]:
        yield info.context["connection_params"][name]


class Api(GraphQL[dict[str, object], None]):
    async def get_context(self, request: HTTPConnection, response: object) -> dict[str, object]:
        return {"request": request, "response": response}


@pytest.fixture(scope="module")
async def server(built_console: Path) -> AsyncIterator[str]:
    """The base address of a GraphQL server with the console, behind a prefix."""
    api = Api(strawberry.Schema(Query, subscription=Subscription), graphql_ide=None)
    routes = [Route("/graphql", api), WebSocketRoute("/graphql", api), *console_routes(built_console)]
    app = Starlette(routes=[Mount("/api", routes=routes)])
    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(running.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/api"
    running.should_exit = True
    await serving


async def test_a_link_opens_a_console_that_works(server, open_console, tmp_path: Path) -> None:
    console = await open_console(console_link(server, HEADERS))
    assert console.page.url == f"{server}/graphiql/"
    assert await console.page.title() == "Profile gateway"
    assert (await console.tabs())[0] == "CreateSchemas"
    for tab, (name, value) in zip("ABCD", HEADERS.items(), strict=True):
        await console.write(f"Seen{tab}", f'query Seen{tab} {{ header(name: "{name}") }}')
        await console.press_execute()
        await console.shows(value)
    await console.page.screenshot(path=tmp_path / "answer.png")
    assert console.problems == []


async def test_a_reload_keeps_the_headers_and_a_newer_link_replaces_them(server, open_console) -> None:
    newer = urlsplit(console_link(server, HEADERS | {"Authorization": "Bearer newer"})).fragment
    console = await open_console(console_link(server, HEADERS))
    await console.page.reload()
    await console.write("Before", 'query Before { header(name: "authorization") }')
    await console.press_execute()
    await console.shows("Bearer a.b-c_d")
    async with console.page.expect_event("load"):
        await console.page.goto(f"{server}/graphiql/#{newer}")
    await console.write("After", 'query After { header(name: "authorization") }')
    await console.press_execute()
    await console.shows("Bearer newer")
    assert "#" not in console.page.url
    assert console.problems == []


async def test_nothing_outlives_the_browser_tab(server, open_console) -> None:
    console = await open_console(console_link(server, HEADERS))
    await console.write("Seen", 'query Seen { header(name: "x-api-key") }')
    await console.press_execute()
    await console.shows("key+/=&1")
    assert await console.page.evaluate("localStorage.length + document.cookie.length") == 0


async def test_documentation_and_explorer_show_the_schema(server, open_console, tmp_path: Path) -> None:
    console = await open_console(console_link(server, HEADERS))
    await console.write("Seen", 'query Seen { header(name: "x-api-key") }')
    await console.page.get_by_label("Show Documentation Explorer").click()
    await console.page.locator(".graphiql-doc-explorer").get_by_text("Query", exact=True).click()
    await console.page.get_by_text("The value of a header of this very request.").wait_for()
    await console.page.get_by_label("Show GraphiQL Explorer").click()
    await console.page.locator(".graphiql-explorer-root, .docExplorerWrap").get_by_text("header").first.wait_for()
    await console.page.screenshot(path=tmp_path / "explorer.png")
    assert console.problems == []


async def test_a_subscription_sends_the_headers_as_it_connects(server, open_console) -> None:
    console = await open_console(console_link(server, HEADERS))
    await console.write("Seen", 'subscription Seen { header(name: "x-gw-ims-org-id") }')
    await console.press_execute()
    await console.shows("ACME@Org")
    assert console.problems == []


async def test_without_a_link_the_headers_editor_says_where_to_get_headers(server, open_console) -> None:
    console = await open_console(f"{server}/graphiql/")
    await console.page.locator(".graphiql-editor-tool").get_by_text("gateway token --json").wait_for()
    assert console.problems == []


async def test_credentials_are_not_on_the_screen_until_somebody_asks_for_them(
    server, open_console, tmp_path: Path
) -> None:
    console = await open_console(console_link(server, HEADERS))
    await console.page.get_by_role("button", name="Variables").wait_for()
    assert "a.b-c_d" not in await console.text()
    await console.page.screenshot(path=tmp_path / "opened.png")
    await console.page.get_by_role("button", name="Headers").click()
    await console.page.locator(".graphiql-editor-tool").get_by_text("a.b-c_d").wait_for()
    await console.reload()
    assert "a.b-c_d" not in await console.text()
    assert console.problems == []


@pytest.mark.parametrize(
    "text",
    [
        '{ "authorization": "bearer a.b-c_d", "x-api-key": "lower case" }',
        '{\n  // of the gateway here\n  "Authorization": "Bearer a.b-c_d",\n  "x-api-key": "with a comment",\n}',
    ],
    ids=["lower-case", "comment"],
)
async def test_headers_are_read_and_closed_however_they_are_written(server, open_console, text: str) -> None:
    console = await open_console(f"{server}/graphiql/")
    await console.write_headers(text)
    await console.reload()
    assert "a.b-c_d" not in await console.text()
    await console.write("Seen", 'query Seen { header(name: "authorization") }')
    await console.press_execute()
    await console.shows("earer a.b-c_d")
    assert console.problems == []


async def test_headers_that_were_written_hold_in_every_tab_and_for_items_of_the_history(server, open_console) -> None:
    console = await open_console(console_link(server, HEADERS))
    await console.write("Seen", 'query Seen { header(name: "authorization") }')
    await console.press_execute()
    await console.shows("Bearer a.b-c_d")
    await console.write_headers(HEADERS | {"Authorization": "Bearer newer"})
    await console.choose("Person")
    await console.choose("Seen")
    await console.press_execute()
    await console.shows("Bearer newer")
    await console.write("Other", 'query Other { again: header(name: "authorization") }')
    await console.press_execute()
    await console.shows("Bearer newer")
    await console.page.get_by_label("Show History").click()
    await console.page.locator(".graphiql-history-item-label").get_by_text("Seen").last.click()
    await console.page.locator(".graphiql-tab-active", has_text="Seen").wait_for()
    await console.press_execute()
    await console.shows('"header": "Bearer newer"')
    assert console.problems == []


async def test_another_sandbox_in_the_headers_brings_its_schema(server, open_console) -> None:
    console = await open_console(console_link(server, HEADERS))
    async with console.page.expect_request(lambda sent: asks_for_the_schema(sent, "dev")):
        await console.write_headers(HEADERS | {"x-sandbox-name": "dev"})
    assert console.problems == []


def asks_for_the_schema(sent: Request, sandbox: str) -> bool:
    return "__schema" in (sent.post_data or "") and sent.headers.get("x-sandbox-name") == sandbox
