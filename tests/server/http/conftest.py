"""A real browser, and the GraphiQL page in it."""

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NoReturn
from urllib.parse import urlsplit

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    FloatRect,
    Locator,
    Page,
    Request,
    WebSocket,
    async_playwright,
)
from playwright.async_api import Error as PlaywrightError

from gateway.server.http.console import BUILT
from hatch_build import is_current

CHROMIUM_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Pages share a process, where the scripts of GraphiQL are compiled already: to start one for each takes twice as long as the page itself.
    *("--renderer-process-limit=1", "--in-process-gpu", "--disable-site-isolation-trials"),
    "--disable-features=SpareRendererForSitePerProcess,IsolateOrigins,site-per-process",
]

SOURCE = Path(__file__).parents[3]


def missing(what: str) -> NoReturn:
    """A developer's machine may lack a browser or Node; CI may not."""
    if "CI" in os.environ:
        pytest.fail(what)
    pytest.skip(what)


@dataclass
class ConsolePage:
    """GraphiQL as a person uses it; `problems` collects what the browser complained about and every address outside."""

    TOO_SMALL: ClassVar[str] = """() => [...document.querySelectorAll("body *")]
        .filter((element) => element.checkVisibility() && parseFloat(getComputedStyle(element).fontSize) < 12)
        .filter((element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()))
        .map((element) => element.outerHTML.slice(0, 200))"""

    PASTE: ClassVar[str] = """(element, text) => {
        const clipboardData = new DataTransfer();
        clipboardData.setData("text/plain", text);
        element.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
    }"""

    page: Page
    origin: str
    problems: list[str] = field(default_factory=list)

    async def open(self, link: str) -> None:
        await self.page.goto(link)
        await self.is_ready()

    async def reload(self) -> None:
        await self.page.reload()
        await self.is_ready()

    async def is_ready(self) -> None:
        """Waits until the page can be used."""
        await self.page.locator(".graphiql-query-editor .view-lines").wait_for()

    async def follow(self, link: str) -> None:
        """Goes to a link to the page that is open already, and waits until the page that it loads anew can be used."""
        await self.page.evaluate("window.isFormer = true")  # an event of loading may be the former page's
        await self.page.goto(link)
        await self.until("!window.isFormer")
        await self.is_ready()

    async def until(self, condition: str) -> None:
        """Waits until JavaScript is true in the page, also in one that replaces it. Playwright's own way to wait calls `eval`, which the page's policy forbids."""
        async with asyncio.timeout(30):
            while True:
                with suppress(PlaywrightError):  # the page was replaced meanwhile
                    if await self.page.evaluate(condition):
                        return

    async def tabs(self) -> list[str]:
        return await self.page.locator(".graphiql-tab-button").all_inner_texts()

    async def choose(self, tab: str) -> None:
        """Goes to the tab of this name."""
        await self.page.get_by_role("tab", name=tab).click()
        await self.page.locator(".graphiql-tab-active", has_text=tab).wait_for()

    async def write(self, name: str, query: str) -> None:
        """Writes an operation of this name into a new tab, and waits until GraphiQL has read it: the tab then bears the name."""
        await self.page.get_by_role("button", name="New tab").click()
        await self.page.locator(".graphiql-query-editor .view-lines").click()
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.insert_text(query)
        await self.page.locator(".graphiql-tab-active", has_text=name).wait_for()

    async def write_headers(self, headers: dict[str, str] | str) -> None:
        """Replace the headers in the editor, as by pasting."""
        await self.page.get_by_role("button", name="Headers").click()
        editor = self.page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden)")
        await editor.locator(".view-lines").click()
        await self.page.keyboard.press("Control+A")
        text = headers if isinstance(headers, str) else json.dumps(headers)
        await editor.locator("textarea").first.evaluate(self.PASTE, text)

    async def press_execute(self) -> None:
        await self.page.locator("button.graphiql-execute-button").click()

    async def shows(self, text: str | re.Pattern[str]) -> None:
        """Waits until the answer shows this text."""
        await self.page.locator(".result-window .view-lines").get_by_text(text).first.wait_for()

    @property
    def notice(self) -> Locator:
        """Return the notice about the token at the top of the page."""
        return self.page.get_by_role("alert").filter(has_text="token in the headers")

    async def text(self) -> str:
        """Everything that can be read on the page, without the spaces that editors put into it."""
        return re.sub(r"\s", "", await self.page.inner_text("body"))

    async def box_of(self, selector: str) -> FloatRect:
        box = await self.page.locator(selector).bounding_box()
        assert box is not None
        return box

    async def fits(self) -> None:
        """Nothing is beyond the edges of the window, the button that runs is in it and wide enough for a finger, and no text is too small."""
        window = self.page.viewport_size
        assert window is not None
        for size in ("width", "height"):
            assert await self.page.evaluate(f"document.documentElement.scroll{size.title()}") <= window[size]
        button = await self.box_of("button.graphiql-execute-button")
        assert 0 <= button["x"] <= window["width"] - button["width"]
        assert 0 <= button["y"] <= window["height"] - button["height"]
        assert min(button["width"], button["height"]) >= 40
        assert await self.page.evaluate(self.TOO_SMALL) == []

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


@pytest.fixture(scope="session")
async def browser_profile(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A profile for all consoles; its first page stays open, and with it the process of the others."""
    context = await chromium.new_context()
    await context.new_page()
    yield context
    await context.close()


@pytest.fixture
async def own_profile(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A profile for one test, which sets its clock."""
    context = await chromium.new_context()
    yield context
    await context.close()


@pytest.fixture
async def open_console(browser_profile: BrowserContext) -> AsyncIterator[Callable[..., Awaitable[ConsolePage]]]:
    """Opens a link of `console_link` in a tab of its own, in a window of this width and height; the profile knows nothing of earlier ones."""
    opened_pages: list[Page] = []

    async def opened(
        link: str, width: int = 1400, height: int = 900, profile: BrowserContext = browser_profile
    ) -> ConsolePage:
        page = await profile.new_page()
        opened_pages.append(page)
        await page.set_viewport_size({"width": width, "height": height})
        console = ConsolePage(page, link)
        page.on("console", console.heard)
        page.on("pageerror", lambda error: console.problems.append(f"exception: {error}"))
        page.on("request", console.asked)
        page.on("websocket", console.asked)
        await console.open(link)
        return console

    yield opened
    devtools = await browser_profile.new_cdp_session(browser_profile.pages[0])
    for page in opened_pages:
        address = urlsplit(page.url)
        await page.close()
        origin = f"{address.scheme}://{address.netloc}"
        await devtools.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
    await devtools.detach()
    await browser_profile.clear_cookies()
