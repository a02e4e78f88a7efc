"""The served page and its links, and GraphiQL in a real browser: against a server that shows what it is sent, and against the demo."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import jwt
import pytest
import strawberry
import uvicorn
from graphql import OperationDefinitionNode, parse
from places import reachable_directory
from playwright.async_api import Request
from program import Server, environment
from program import server as started
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount, Route, WebSocketRoute
from strawberry.asgi import GraphQL

from gateway.domain.rules.scope import Permission
from gateway.server.http.console import BUILT, console_link, console_routes
from gateway.server.tokens import issue_token
from gateway.settings import OWN_ISSUER

EXAMPLES = BUILT.parent / "page" / "examples"
FIRST_STEPS = {
    "CreateSchemas": '"title": "Visit"',
    "CreateDatasets": '"name": "Visits"',
    "AddRecord": '"accepted": 1',
    "AddEvent": '"accepted": 1',
    "Person": "web.webpagedetails.pageViews",
    "Identities": '"name": "Visits"',
    "Explain": "ONLY_CANDIDATE",
}
"""The tabs of an empty sandbox in their order, and what each shows when the ones before it were run."""
TELEPHONE = {"width": 375, "height": 667}
SECRET = "a secret of at least thirty-two bytes"
HEADERS = {
    "Authorization": "Bearer a.b-c_d",
    "x-api-key": "key+/=&1",
    "x-gw-ims-org-id": "ACME@Org",
    "x-sandbox-name": "prod",
}

OF_THE_DEMO = {
    "Person": "Household demographics (CRM)",
    "LastPurchases": "priceTotal",
    "People": "fullName",
    "Identities": "CROSS_DEVICE",
    "Configuration": "Campaigns and coupons",
    "AddRecord": re.compile(r'"(accepted|duplicates)":\s1'),  # of a session's demo it may be there already
}
"""The tabs of the demo's sandbox, and what each shows."""

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
    assert await console.tabs() == list(FIRST_STEPS)
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


async def test_a_link_brings_the_examples_of_its_sandbox_over_those_that_nobody_changed(
    server, demo, open_console
) -> None:
    console = await open_console(f"{demo.url}/graphiql/")
    assert await console.tabs() == list(FIRST_STEPS)
    async with console.page.expect_event("load"):
        await console.page.goto(f"{demo.url}/graphiql/#{urlsplit(demo.link).fragment}")
    await console.is_ready()
    assert await console.tabs() == list(OF_THE_DEMO)
    await console.write("Mine", "query Mine { viewer { organization } }")
    async with asyncio.timeout(30):
        while "query Mine" not in await console.page.evaluate("sessionStorage.getItem('graphiql:tabState')"):
            pass  # until GraphiQL has stored its tabs
    async with console.page.expect_event("load"):
        await console.page.goto(f"{demo.url}/graphiql/#{urlsplit(demo.link).fragment}")
    await console.is_ready()
    assert await console.tabs() == [*OF_THE_DEMO, "Mine"]


async def test_another_sandbox_in_the_headers_brings_its_schema(server, open_console) -> None:
    console = await open_console(console_link(server, HEADERS))
    async with console.page.expect_request(lambda sent: asks_for_the_schema(sent, "dev")):
        await console.write_headers(HEADERS | {"x-sandbox-name": "dev"})
    assert console.problems == []


def asks_for_the_schema(sent: Request, sandbox: str) -> bool:
    return "__schema" in (sent.post_data or "") and sent.headers.get("x-sandbox-name") == sandbox


def expiring(at: float, issuer: str = OWN_ISSUER) -> dict[str, str]:
    return HEADERS | {"Authorization": f"Bearer {jwt.encode({'exp': int(at), 'iss': issuer}, SECRET)}"}


async def test_a_token_that_expires_while_the_page_is_open_is_told_at_once(server, open_console) -> None:
    console = await open_console(console_link(server, expiring(at=time() + 3600)))
    await console.page.clock.install()
    await console.reload()
    assert await console.notice.count() == 0
    await console.page.clock.fast_forward("01:00:05")
    await console.notice.get_by_text("expired at").wait_for()
    assert console.problems == []


# ---------------------------------------------------------------------------------------------- over the demo


@pytest.mark.usefixtures("built_console")
@pytest.mark.parametrize(("tab", "shows"), OF_THE_DEMO.items())
async def test_the_examples_work_on_the_demo_from_its_link(demo, open_console, tab, shows, tmp_path):
    console = await open_console(demo.link)
    await console.choose(tab)
    await console.press_execute()
    await console.shows(shows)
    await console.page.screenshot(path=tmp_path / f"{tab}.png")
    assert console.problems == []


@pytest.mark.usefixtures("built_console")
async def test_no_use_of_a_demo_link_shows_the_credentials(demo, open_console):
    given = parse_qs(urlsplit(demo.link).fragment)
    key, secrets = given["apiKey"][0], {given["apiKey"][0], *given["token"][0].split(".")}
    console = await open_console(demo.link)

    async def are_hidden() -> bool:
        texts = (await console.text(), await console.page.title(), console.page.url)
        return not any(secret in text for text in texts for secret in secrets)

    for tab in OF_THE_DEMO:
        await console.choose(tab)
        assert await are_hidden()
    await console.choose("Person")
    await console.press_execute()
    await console.shows("Household demographics (CRM)")
    await console.page.get_by_label("Show History").click()
    await console.page.locator(".graphiql-history-item-label").get_by_text("Person").first.click()
    assert await are_hidden()
    await console.page.get_by_role("button", name="New tab").click()
    assert await are_hidden()
    await console.reload()
    assert await are_hidden()
    await console.page.get_by_role("button", name="Headers").click()
    await console.page.locator(".graphiql-editor-tool").get_by_text(key).wait_for()
    assert not await are_hidden()


@pytest.mark.usefixtures("built_console")
async def test_the_page_can_be_used_at_the_width_of_a_telephone(demo, open_console, tmp_path):
    console = await open_console(demo.link, **TELEPHONE)
    await console.fits()
    await console.press_execute()
    await console.shows("Household demographics (CRM)")
    query, answer = [await console.box_of(name) for name in (".graphiql-query-editor", ".graphiql-response")]
    assert answer["y"] >= query["y"] + query["height"], "the panes are stacked"
    assert min(query["width"], answer["width"]) > 340
    assert min(query["height"], answer["height"]) > 150
    await console.page.screenshot(path=tmp_path / "telephone.png")
    await console.choose("AddRecord")
    await console.fits()
    await console.page.get_by_role("button", name="Headers").click()
    await console.page.locator(".graphiql-editor-tool").get_by_text("x-api-key").wait_for()
    await console.fits()
    for pane in ("Documentation Explorer", "History", "GraphiQL Explorer"):
        await console.page.get_by_label(f"Show {pane}").click()
        await console.page.get_by_label(f"Hide {pane}").wait_for()
        await console.fits()
        assert (await console.box_of(".graphiql-plugin"))["width"] == TELEPHONE["width"]
    await console.page.get_by_label("Hide GraphiQL Explorer").click()
    await console.choose("Person")
    await console.press_execute()
    await console.shows("Household demographics (CRM)")
    assert console.problems == []


@pytest.mark.usefixtures("built_console")
async def test_the_demos_own_schemas_are_known_before_anything_is_run(demo, open_console, tmp_path):
    console = await open_console(demo.link)
    await console.page.get_by_label("Show Documentation Explorer").click()
    await console.page.get_by_label("Search").click()
    await console.page.keyboard.type("householdNumber")
    await console.page.locator(".graphiql-doc-explorer").get_by_text("householdNumber").first.wait_for()
    await console.page.screenshot(path=tmp_path / "documentation.png")
    assert console.problems == []


# ---------------------------------------------------------------------------------------------- over a gateway without it


@pytest.fixture(scope="module")
def bare(built_console) -> Iterator[Server]:
    """A gateway with nothing in it, whose tokens `headers_of` makes."""
    secret = environment(GATEWAY_JWT_SECRET=SECRET)
    with reachable_directory() as place, started(place / "data", env=secret) as server:
        yield server


def headers_of(bare: Server, lifetime: timedelta = timedelta(hours=1), sandbox: str = "prod") -> dict[str, str]:
    organization = UUID(bare.own_headers["x-gw-ims-org-id"])
    token = issue_token(SECRET, organization, Permission, lifetime=lifetime)
    return bare.own_headers | {"Authorization": f"Bearer {token}", "x-sandbox-name": sandbox}


async def test_in_an_empty_sandbox_every_tab_works_one_after_the_other(bare, open_console, tmp_path: Path) -> None:
    make = 'mutation { createSandbox(input: { name: "steps", title: "Steps" }) { userErrors { message } } }'
    async with httpx.AsyncClient() as http:
        made = await http.post(f"{bare.url}/graphql", json={"query": make}, headers=headers_of(bare))
    assert made.json() == {"data": {"createSandbox": {"userErrors": []}}}
    link = console_link(bare.url, headers_of(bare, sandbox="steps"))
    console = await open_console(link)
    assert await console.tabs() == list(FIRST_STEPS)
    for tab, shows in FIRST_STEPS.items():
        await console.choose(tab)
        await console.press_execute()
        await console.shows(shows)
        await console.page.screenshot(path=tmp_path / f"{tab}.png")
    later = await open_console(link)
    assert await later.tabs() == list(FIRST_STEPS)[2:], "what is there need not be made again"
    assert console.problems == later.problems == []


async def test_the_page_leads_to_the_documents(bare, open_console) -> None:
    console = await open_console(console_link(bare.url, headers_of(bare)))
    async with console.page.expect_popup() as opened:
        await console.page.get_by_role("link", name="Documents").click()
    documents = await opened.value
    await documents.get_by_role("heading", name="Documents of the profile gateway").wait_for()
    assert documents.url == f"{bare.url}/docs"
    assert console.problems == []


async def test_a_step_that_is_taken_too_early_says_what_is_missing(bare, open_console) -> None:
    console = await open_console(console_link(bare.url, headers_of(bare)))
    await console.choose("AddEvent")
    await console.press_execute()
    await console.shows("There is no dataset 'Visits' in this sandbox")
    assert console.problems == []


async def test_an_expired_token_is_told_with_the_command_that_makes_another(bare, open_console, tmp_path: Path) -> None:
    console = await open_console(console_link(bare.url, headers_of(bare, timedelta(hours=-1))))
    await console.notice.get_by_text("expired at").wait_for()
    await console.notice.get_by_text("gateway token --json").wait_for()
    assert "eyJ" not in await console.text()
    await console.page.screenshot(path=tmp_path / "expired.png")
    await console.write_headers(headers_of(bare))
    await console.notice.wait_for(state="detached")


async def test_an_expired_token_of_another_issuer_is_told_with_where_it_came_from(bare, open_console) -> None:
    console = await open_console(console_link(bare.url, expiring(at=1_000_000_000, issuer="https://id.example/größe")))
    await console.notice.get_by_text("expired at").wait_for()
    await console.notice.get_by_text("https://id.example/größe").wait_for()
    assert await console.notice.get_by_text("gateway token").count() == 0


async def test_the_notice_of_an_expired_token_leaves_room_on_a_telephone(bare, open_console, tmp_path) -> None:
    console = await open_console(
        console_link(bare.url, expiring(1_000_000_000, "https://id.example/" + "a" * 99)), **TELEPHONE
    )
    await console.notice.wait_for()
    await console.fits()
    assert (await console.notice.bounding_box())["height"] < TELEPHONE["height"] / 4
    await console.page.screenshot(path=tmp_path / "telephone-expired.png")
    await console.press_execute()
    await console.shows("Oauth token is not valid")


async def test_a_token_that_the_server_does_not_take_is_no_dead_end(bare, open_console) -> None:
    console = await open_console(console_link(bare.url, expiring(at=4_000_000_000, issuer="https://id.example")))
    await console.notice.get_by_text("does not take").wait_for()
    await console.notice.get_by_text("https://id.example").wait_for()
    async with console.page.expect_event("load"):
        await console.page.goto(f"{bare.url}/graphiql/#{urlsplit(console_link(bare.url, headers_of(bare))).fragment}")
    await console.is_ready()
    await console.press_execute()
    await console.shows('"title": "Customer"')
    assert await console.page.locator(".notice").count() == 0


async def test_a_server_that_says_a_token_has_expired_is_believed(bare, open_console) -> None:
    """The browser's clock is late: by it, the token is good for another hour."""
    old = headers_of(bare, lifetime=timedelta(hours=-1))
    console = await open_console(console_link(bare.url, headers_of(bare)))
    await console.page.clock.install(time=datetime.now(UTC) - timedelta(hours=2))
    await console.page.goto(f"{bare.url}/graphiql/#{urlsplit(console_link(bare.url, old)).fragment}")
    await console.notice.get_by_text("has expired").wait_for()


async def test_a_server_that_takes_a_token_is_believed(bare, open_console) -> None:
    """The browser's clock is early: by it, the token expired an hour ago."""
    console = await open_console(console_link(bare.url, headers_of(bare)))
    await console.page.clock.install(time=datetime.now(UTC) + timedelta(hours=2))
    await console.reload()
    await console.write("Me", "query Me { viewer { scopes } }")
    await console.press_execute()
    await console.shows("profile:read")
    await console.page.locator(".notice").wait_for(state="detached")
