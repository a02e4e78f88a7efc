"""`GET /docs`: every document as a page without scripts, or as Markdown; no link leads nowhere."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import pytest
from hatchling.builders.wheel import WheelBuilder

from gateway.server.http.docs import DIRECTORY, NAMES, PICTURE, read_document

ROOT = Path(__file__).parents[3]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PAGES = ("/docs", *(f"/docs/{name}" for name in NAMES))


@pytest.fixture
def gateway(module_gateway):
    """One for all tests here: none of them changes anything in it."""
    return module_gateway


def test_every_document_of_the_package_is_listed_and_says_what_it_is_about():
    assert {path.name for path in DIRECTORY.iterdir()} == {*(f"{name}.md" for name in NAMES), PICTURE}
    for name in NAMES:
        document = read_document(name)
        assert document.text.startswith(f"# {document.title}\n")
        assert document.summary.endswith(".")


def test_every_document_is_in_the_wheel():
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"gateway/docs/{path.name}" for path in DIRECTORY.iterdir()} <= packed


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_no_script_and_nothing_from_elsewhere(gateway, path):
    answer = await gateway.http.get(path, headers={"accept": BROWSER})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "<script" not in answer.text
    assert re.findall(r'(?:src|href)="(?:\w+:|//)[^"]*"', answer.text) == []
    assert 'name="viewport"' in answer.text


async def test_every_link_of_a_page_leads_to_a_page_and_to_a_section_that_are_there(gateway):
    pages = {path: (await gateway.http.get(path)).text for path in PAGES}
    for path, page in pages.items():
        for link in re.findall(r'(?:src|href)="([^"]+)"', page):
            target, _, section = urljoin(path, unescape(link)).partition("#")
            if target == f"/docs/{PICTURE}":
                assert (await gateway.http.get(target)).headers["content-type"] == "image/svg+xml"
            else:
                assert target in pages, (path, link)
                assert not section or f'id="{section}"' in pages[target], (path, link)


@pytest.mark.parametrize("path", PAGES)
async def test_a_program_gets_the_markdown_and_caches_know(gateway, path):
    answer = await gateway.http.get(path, headers={"accept": "text/markdown, text/html;q=0.5"})
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text.startswith("# ")
    assert "accept" in answer.headers["vary"].lower()
    if path != "/docs":
        assert answer.text == (DIRECTORY / f"{path.removeprefix('/docs/')}.md").read_text("utf-8")


@pytest.mark.parametrize("accept", ["*/*", "", "text/html", "application/json", "nonsense;;q", "text/markdown;q=0"])
async def test_a_request_that_does_not_prefer_markdown_gets_a_page(gateway, accept):
    answer = await gateway.http.get("/docs/tutorial", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("name", ["nope", "tutorial.md", "..%2F..%2Fsettings", "%00", "README"])
async def test_nothing_else_is_read_from_the_disk(gateway, name):
    answer = await gateway.http.get(f"/docs/{name}")
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (404, "BAD_INPUT")


async def test_the_text_of_a_document_is_never_markup(gateway):
    page = (await gateway.http.get("/docs/operations")).text
    assert "&lt;" in (await gateway.http.get("/docs/ingest")).text
    assert "<table>" in page
    assert '<pre><code class="language-sql">' in page
    assert 'aria-current="page">Operations<' in page


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_can_be_read_on_a_telephone(gateway, browser_profile, path):
    page = await browser_profile.new_page()
    await page.set_viewport_size({"width": 375, "height": 667})
    await page.set_content((await gateway.http.get(path)).text)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 375
    sizes = await page.evaluate(
        "[...document.querySelectorAll('body *')].map((one) => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 12
    await page.close()
