"""GraphiQL in a real browser over real gateways: over the demo, in an empty sandbox, and with tokens that end."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import jwt
import pytest
from places import reachable_directory
from program import Server, environment
from program import server as started
from signed import signed

from gateway.domain.rules.scope import Permission
from gateway.server.http.console import console_link

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
OF_THE_DEMO = {
    "Person": "Household demographics (CRM)",
    "LastPurchases": "priceTotal",
    "People": "fullName",
    "Identities": "CROSS_DEVICE",
    "Configuration": "Campaigns and coupons",
    "AddRecord": re.compile(r'"(accepted|duplicates)":\s1'),  # of a session's demo it may be there already
}
"""The tabs of the demo's sandbox, and what each shows."""


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
async def test_a_link_brings_the_examples_of_its_sandbox_over_those_that_nobody_changed(demo, open_console) -> None:
    console = await open_console(f"{demo.url}/graphiql/")
    assert await console.tabs() == list(FIRST_STEPS)
    await console.follow(f"{demo.url}/graphiql/#{urlsplit(demo.link).fragment}")
    assert await console.tabs() == list(OF_THE_DEMO)
    await console.write("Mine", "query Mine { viewer { organization } }")
    await console.until("sessionStorage.getItem('graphiql:tabState').includes('query Mine')")
    await console.follow(f"{demo.url}/graphiql/#{urlsplit(demo.link).fragment}")
    assert await console.tabs() == [*OF_THE_DEMO, "Mine"]


@pytest.mark.usefixtures("built_console")
async def test_examples_that_graphiql_stores_while_a_link_is_followed_go_with_the_others(demo, open_console) -> None:
    console = await open_console(f"{demo.url}/graphiql/")
    await console.until("sessionStorage.getItem('graphiql:tabState')")
    await console.page.evaluate("""() => {
        const tabs = sessionStorage.getItem('graphiql:tabState');
        addEventListener('beforeunload', () => sessionStorage.setItem('graphiql:tabState', tabs));
    }""")
    await console.follow(f"{demo.url}/graphiql/#{urlsplit(demo.link).fragment}")
    assert await console.tabs() == list(OF_THE_DEMO)


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
    token = signed(SECRET, organization, Permission, lifetime=lifetime)
    return bare.own_headers | {"Authorization": f"Bearer {token}", "x-sandbox-name": sandbox}


def expiring(bare: Server, at: int, issuer: str) -> dict[str, str]:
    return bare.own_headers | {"Authorization": f"Bearer {jwt.encode({'exp': at, 'iss': issuer}, SECRET)}"}


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


async def test_the_page_names_the_command_that_replaces_an_expired_token(bare, open_console, tmp_path: Path) -> None:
    console = await open_console(console_link(bare.url, headers_of(bare, timedelta(hours=-1))))
    await console.notice.get_by_text("expired at").wait_for()
    await console.notice.get_by_text("gateway token --json").wait_for()
    assert "eyJ" not in await console.text()
    await console.page.screenshot(path=tmp_path / "expired.png")
    await console.write_headers(headers_of(bare))
    await console.notice.wait_for(state="detached")


async def test_the_page_names_the_issuer_of_an_expired_token(bare, open_console) -> None:
    console = await open_console(console_link(bare.url, expiring(bare, 1_000_000_000, "https://id.example/größe")))
    await console.notice.get_by_text("expired at").wait_for()
    await console.notice.get_by_text("https://id.example/größe").wait_for()
    assert await console.notice.get_by_text("gateway token").count() == 0


async def test_the_notice_of_an_expired_token_leaves_room_on_a_telephone(bare, open_console, tmp_path) -> None:
    console = await open_console(
        console_link(bare.url, expiring(bare, 1_000_000_000, "https://id.example/" + "a" * 99)), **TELEPHONE
    )
    await console.notice.wait_for()
    await console.fits()
    assert (await console.notice.bounding_box())["height"] < TELEPHONE["height"] / 4
    await console.page.screenshot(path=tmp_path / "telephone-expired.png")
    await console.press_execute()
    await console.shows("Oauth token is not valid")


async def test_a_token_that_the_server_does_not_take_is_no_dead_end(bare, open_console) -> None:
    console = await open_console(console_link(bare.url, expiring(bare, 4_000_000_000, "https://id.example")))
    await console.notice.get_by_text("does not take").wait_for()
    await console.notice.get_by_text("https://id.example").wait_for()
    async with console.page.expect_event("load"):
        await console.page.goto(f"{bare.url}/graphiql/#{urlsplit(console_link(bare.url, headers_of(bare))).fragment}")
    await console.is_ready()
    await console.press_execute()
    await console.shows('"title": "Customer"')
    assert await console.page.locator(".notice").count() == 0


async def test_the_page_says_at_once_that_its_token_has_expired(bare, open_console, own_profile) -> None:
    console = await open_console(console_link(bare.url, headers_of(bare)), profile=own_profile)
    await console.page.clock.install()
    await console.reload()
    assert await console.notice.count() == 0
    await console.page.clock.fast_forward("01:00:05")
    await console.notice.get_by_text("expired at").wait_for()
    assert console.problems == []


async def test_a_server_that_says_a_token_has_expired_is_believed(bare, open_console, own_profile) -> None:
    """The browser's clock is late: by it, the token is good for another hour."""
    old = headers_of(bare, lifetime=timedelta(hours=-1))
    console = await open_console(console_link(bare.url, headers_of(bare)), profile=own_profile)
    await console.page.clock.install(time=datetime.now(UTC) - timedelta(hours=2))
    await console.page.goto(f"{bare.url}/graphiql/#{urlsplit(console_link(bare.url, old)).fragment}")
    await console.notice.get_by_text("has expired").wait_for()


async def test_a_server_that_takes_a_token_is_believed(bare, open_console, own_profile) -> None:
    """The browser's clock is early: by it, the token expired an hour ago."""
    console = await open_console(console_link(bare.url, headers_of(bare)), profile=own_profile)
    await console.page.clock.install(time=datetime.now(UTC) + timedelta(hours=2))
    await console.reload()
    await console.write("Me", "query Me { viewer { scopes } }")
    await console.press_execute()
    await console.shows("profile:read")
    await console.page.locator(".notice").wait_for(state="detached")
