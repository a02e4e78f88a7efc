"""`GET /`: what is where."""

import re

import pytest

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def gateway(module_gateway):
    """One for all tests here: none of them changes anything in it."""
    return module_gateway


async def test_a_program_gets_the_list_of_addresses_as_json(gateway):
    answer = await gateway.http.get("/")
    assert answer.status_code == 200
    paths = {place["path"] for place in answer.json()["places"]}
    served = {route.path for route in gateway.app.router.routes} - {"/", "/graphiql{rest:path}"}
    assert paths == {path.replace("dataset_id", "datasetId").replace("export_id", "exportId") for path in served} | {
        "/graphiql"
    }


async def test_a_browser_gets_a_page_whose_links_lead_somewhere(gateway):
    answer = await gateway.http.get("/", headers={"accept": BROWSER})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src" not in answer.headers["content-security-policy"]
    links = re.findall(r'href="([^"]+)"', answer.text)
    assert {"graphiql", "docs", "healthz", "readyz", "metrics", "schema.graphql", "#profile-gateway"} == set(links)
    for link in links:
        assert (await gateway.http.get(f"/{link}", follow_redirects=True)).status_code in {
            200,
            503,
        }  # the console may not be built
    assert "/ingest/{datasetId}" in answer.text
    assert "/graphql<" in answer.text


@pytest.mark.parametrize(
    "accept", [BROWSER, "*/*", "application/json", "application/json, text/html", "", "nonsense;;q"]
)
async def test_which_form_it_has_is_the_callers_choice_and_caches_know(gateway, accept):
    answer = await gateway.http.get("/", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("text/html" if accept == BROWSER else "application/json")
    assert "accept" in answer.headers["vary"].lower()


async def test_the_console_is_not_named_where_it_is_off(start_gateway):
    async with start_gateway(console=False) as gateway:
        for accept in (BROWSER, "*/*"):
            assert "graphiql" not in (await gateway.http.get("/", headers={"accept": accept})).text


async def test_an_unknown_address_leads_here(gateway):
    assert "`GET /`" in (await gateway.http.get("/nope")).json()["errors"][0]["message"]
