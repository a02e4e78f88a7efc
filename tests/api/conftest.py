"""A client of a small sandbox; a real browser, and the GraphiQL page in it."""

import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest
from client import Client
from playwright.async_api import Browser, ConsoleMessage, Page, Request, WebSocket, async_playwright
from world import World

from gateway.api.console import BUILT
from gateway.api.console.hatch_build import is_current
from gateway.storage.database import Database

CHROMIUM_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
SOURCE = Path(__file__).parents[2]


def missing(what: str) -> NoReturn:
    """A developer's machine may lack a browser or Node; CI may not."""
    if "CI" in os.environ:
        pytest.fail(what)
    pytest.skip(what)


@dataclass
class ConsolePage:
    """GraphiQL as a person uses it; `problems` collects what the browser complained about and every address outside."""

    page: Page
    origin: str
    problems: list[str] = field(default_factory=list)

    async def open(self, link: str) -> None:
        await self.page.goto(link)
        await self.page.locator(".graphiql-query-editor .view-lines").wait_for()

    async def tabs(self) -> list[str]:
        return await self.page.locator(".graphiql-tab-button").all_inner_texts()

    async def write(self, name: str, query: str) -> None:
        """Writes an operation of this name into a new tab, and waits until GraphiQL has read it: the tab then bears the name."""
        await self.page.get_by_role("button", name="New tab").click()
        await self.page.locator(".graphiql-query-editor .view-lines").click()
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.insert_text(query)
        await self.page.locator(".graphiql-tab-active", has_text=name).wait_for()

    async def write_headers(self, headers: dict[str, str]) -> None:
        """Writes these headers over those that are there, as somebody who pastes them."""
        await self.page.get_by_role("button", name="Headers").click()
        await self.page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden) .view-lines").click()
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.insert_text(json.dumps(headers))

    async def press_execute(self) -> None:
        await self.page.locator("button.graphiql-execute-button").click()

    async def shows(self, text: str | re.Pattern[str]) -> None:
        """Waits until the answer shows this text."""
        await self.page.locator(".result-window .view-lines").get_by_text(text).first.wait_for()

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"{message.type}: {message.text}")

    def asked(self, request: Request | WebSocket) -> None:
        address = urlsplit(request.url)
        if address.scheme not in {"data", "blob"} and address.netloc != urlsplit(self.origin).netloc:
            self.problems.append(f"outside: {request.url}")


@pytest.fixture(scope="session")
def built_console() -> Path:
    """The page as the package's build made it from the sources that are there now."""
    if not is_current(SOURCE):
        missing("the console is not built from its present sources: `pip install -e .` does it")
    return BUILT


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        missing("there is no Chromium on the PATH")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def open_console(chromium: Browser) -> AsyncIterator[Callable[[str], Awaitable[ConsolePage]]]:
    """Opens a link of `console_link` in a browser profile of its own."""
    context = await chromium.new_context(viewport={"width": 1400, "height": 900})

    async def opened(link: str) -> ConsolePage:
        page = await context.new_page()
        console = ConsolePage(page, link)
        page.on("console", console.heard)
        page.on("pageerror", lambda error: console.problems.append(f"exception: {error}"))
        page.on("request", console.asked)
        page.on("websocket", console.asked)
        await console.open(link)
        return console

    yield opened
    await context.close()


@pytest.fixture
async def client(template_world: World, db: Database) -> Client:
    """A client of a sandbox with three empty datasets."""
    return Client.of(template_world.inside_of(db))
