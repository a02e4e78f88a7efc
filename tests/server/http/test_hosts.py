"""Names by which a request may call the server, and who need not name it at all."""

import pytest

from gateway.server.http.hosts import HostNames
from gateway.settings import LOOPBACK_NAMES


@pytest.fixture
def gateway(module_gateway):
    """One for all tests here: none of them changes anything in it."""
    return module_gateway


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "127.0.0.1@evil.example", "[::1].evil.example"]
)
async def test_on_loopback_a_request_with_another_name_is_refused(gateway, host):
    assert (await gateway.http.get("/", headers={"host": host})).status_code == 400


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "[::1]", "LOCALHOST", "localhost."]
)
async def test_on_loopback_its_own_names_are_answered(gateway, host):
    assert (await gateway.http.get("/", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_and_scrapers_may_call_by_address(start_gateway, path):
    async with start_gateway(allowed_hosts="api.example") as gateway:
        for host in ("10.1.2.3:8000", "[fd00::1]:8000", "pod-7", ""):
            assert (await gateway.http.get(path, headers={"host": host})).status_code == 200
            assert (await gateway.http.get("/", headers={"host": host})).status_code == 400


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("api.example", True),
        ("API.Example:443", True),
        ("api.example.", True),
        ("shop.at.example", True),
        ("a.shop.at.example", True),
        ("at.example", False),
        ("evilat.example", False),
        ("api.example/..", False),
        ("api.example:80:80", False),
        ("api.example:x", False),
        ("user@api.example", False),
        (" api.example", False),
        ("api.example\n", False),
        ("[api.example]", False),
        ("", False),
        (None, False),
    ],
)
def test_a_host_is_one_of_the_names_or_below_a_name_with_a_star(host, is_ours):
    assert (host in HostNames(["Api.example", "*.at.example"])) is is_ours
    assert host in HostNames(["*"])


def test_loopback_has_names_in_both_families():
    assert all(name in HostNames(LOOPBACK_NAMES) for name in ("127.0.0.1:8000", "[::1]:8000", "localhost:8000"))
