"""`gateway demo --edges 2`, really started: a browser asks an edge for one person, also once the hub is gone, and is refused all else."""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest
from data_directories import initialize
from places import reachable_directory
from playwright.async_api import expect
from program import environment, started_program

PROGRAM = [sys.executable, str(Path(__file__).parents[2] / "demo/one_shopper.py")]
CODES = ("VA6", "OR2")
SOON = 120_000  # milliseconds: what is there at once may take longer on a busy machine
SOMEBODY = quote("jordan.pike.2@example.com")


@pytest.fixture(scope="module")
def lines() -> Iterator[dict[str, str]]:
    """What the demo prints, by the first word of each line, and the number of the hub's process."""
    with reachable_directory() as path:
        data = path / "data"
        for directory in (data, *(data / "edges" / code for code in CODES)):
            initialize(directory)
        with (path / "log").open("w") as log:
            arguments = ("demo", "--edges", "2", "--port", "0", "--data-dir", str(data))
            process = started_program(*arguments, program=PROGRAM, env=environment(), stderr=log)
        with process:
            try:
                assert process.stdout is not None
                yield told_by([process.stdout.readline() for _ in range(6)])
            finally:
                process.send_signal(signal.SIGTERM)


def told_by(printed: list[str]) -> dict[str, str]:
    """What each line begins with, and the address or the number that it tells."""
    read = [re.match(r"(\w+(?: \w{3})?):? (?:process )?([^\s;]+)", line) for line in printed]
    assert all(read), printed
    return {each[1]: each[2] for each in read if each}


async def test_a_browser_sees_one_person_at_an_edge_also_when_the_hub_has_stopped(lines, chromium):
    context = await chromium.new_context()
    page = await context.new_page()
    await page.goto(lines["page"])
    await expect(page.get_by_role("status")).to_contain_text(" 200, ", timeout=SOON)
    shown = json.loads(await page.inner_text("#projection"))["profile"]
    assert shown["person"]["name"]
    os.kill(int(lines["hub"]), signal.SIGTERM)
    async with httpx.AsyncClient(timeout=60) as client:
        with pytest.raises(httpx.TransportError):
            while True:
                await client.get(lines["ready"].replace("/graphql", "/healthz"))
    before = await page.inner_text("#status")
    await expect(page.get_by_role("status")).not_to_have_text(before, timeout=SOON)
    await expect(page.get_by_role("status")).to_contain_text(" 200, ", timeout=SOON)
    assert json.loads(await page.inner_text("#projection"))["profile"] == shown
    given = dict(parse_qsl(urlsplit(lines["page"]).fragment))
    address, token = given["projection"], given["token"]
    edge = lines["edge VA6"]
    ask = """async ([url, token, options]) => {
      try { return (await fetch(url, {headers: {authorization: `Bearer ${token}`}, ...options})).status } catch { return 'refused' } }"""
    other = address.rpartition("/")[0] + f"/{SOMEBODY}"
    asked = {
        "it": [address, token, {}], "at the other edge": [address.replace(edge, lines["edge OR2"]), token, {}], "somebody else": [other, token, {}],
        "another projection": [address.replace("/shop/", "/till/"), token, {}], "with another token": [address, f"{token}x", {}],
        "with a method for more": [address, token, {"method": "DELETE"}],
    }  # fmt: skip
    answered = {name: await page.evaluate(ask, each) for name, each in asked.items()}
    assert answered == {
        "it": 200, "at the other edge": 200, "somebody else": 403, "another projection": 404, "with another token": 401, "with a method for more": "refused",
    }  # fmt: skip
    await page.goto("about:blank")
    assert await page.evaluate(ask, [address, token, {}]) == "refused"  # pages of other origins read nothing
    await context.close()
