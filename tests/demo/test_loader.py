"""The demo in a store: set up once, loaded whole, found again by the next start."""

import asyncio
import re

import program
import pytest
from recount import spent
from rich.progress import Progress
from small_demo import is_loaded

from gateway.demo.catalogue import count, documents
from gateway.demo.configuration import ATTRIBUTES, DATASETS, MERGE_POLICIES, NAMESPACES, SCHEMAS
from gateway.demo.loader import load_demo
from gateway.demo.purchases import NEWEST_BASKETS
from gateway.demo.setup import set_up
from gateway.demo.source import Journey
from gateway.domain.config.configuration import Configurations
from gateway.domain.facts.batch_lists import BatchPage, list_batches_of_datasets
from gateway.domain.facts.batches import BatchStatus
from gateway.domain.rules.keyset import Window
from gateway.server.deployment import open_deployment
from gateway.settings import read_settings

LOADED = "{ datasets { nodes { name recordCount batches { nodes { status failedCount } } } } }"

POLICIES = "{ mergePolicies { nodes { id name } } }"
VALUES = """
    query Values($identities: [IdentityInput!]!, $policy: ID) {
      profiles(identities: $identities, mergePolicyId: $policy) {
        profile {
          computedAttributes(names: ["lifetimeValue"]) { value isComplete }
        }
      }
    }"""


@pytest.fixture
async def store(dsn, tmp_path):
    async with open_deployment(read_settings(database_url=dsn, data_dir=tmp_path)) as opened:
        yield opened


def test_every_document_of_every_dataset_is_in_one_complete_batch_without_failures(demo):
    with demo.client() as client:
        nodes = client.post("/graphql", json={"query": LOADED}).json()["data"]["datasets"]["nodes"]
    found = {node["name"]: node for node in nodes}
    journey = Journey.installed()
    counts = {dataset.key: count(journey, dataset.key) for dataset in DATASETS}
    counts["purchases"] = sum(
        is_loaded(int(event["identityMap"]["Household"][0]["id"])) for event in documents(journey, "purchases")
    )
    for dataset in DATASETS:
        assert found[dataset.name]["recordCount"] >= counts[dataset.key]  # other tests may have added some
        assert {"status": "ACTIVE", "failedCount": 0} in found[dataset.name]["batches"]["nodes"]


def test_every_view_of_the_demo_is_right(demo):
    assert program.gateway("verify", "--data-dir", demo.data_dir).returncode == 0


def test_the_next_start_has_nothing_to_load(demo, tmp_path):
    with program.server(demo.data_dir, command="demo", log=tmp_path / "log") as second:
        assert second.link.startswith(f"{second.url}/graphiql#token=")
        assert second.end() == 0
    assert not re.search("|".join(re.escape(dataset.name) for dataset in DATASETS), second.log.read_text())


def test_lifetime_values_of_real_households_are_those_that_pyarrow_counts(demo):
    """Under every policy: none of the loaded households is one person with another. `tests/benchmarks/demo_figures.py` compares all of them."""
    paid = spent(Journey.installed().directory / "transactions.parquet", newest=NEWEST_BASKETS)
    households = [each for each in paid if is_loaded(each)]
    keys = [{"key": {"namespace": "Household", "value": str(each)}} for each in households]
    with demo.client() as client:

        def ask(query, **variables):
            return client.post("/graphql", json={"query": query, "variables": variables}).json()["data"]

        for policy in ask(POLICIES)["mergePolicies"]["nodes"]:
            results = ask(VALUES, identities=keys, policy=policy["id"])["profiles"]
            values = [result["profile"]["computedAttributes"][0] for result in results]
            assert all(value["isComplete"] for value in values)
            assert [round(value["value"] * 100) for value in values] == [paid[each] for each in households]
    assert len(households) > 240


async def test_setting_up_twice_makes_everything_once(store):
    first, again = [await set_up(store.db, await store.scope(), Configurations()) for _ in range(2)]
    config = await Configurations().read(store.db, await store.scope())
    assert first == again
    assert {dataset.name for dataset in config.datasets.values()} == {dataset.name for dataset in DATASETS}
    assert {schema.title for schema in config.schemas.values()} == {schema.title for schema in SCHEMAS}
    assert {policy.settings.name for policy in config.policies.values()} > {policy.name for policy in MERGE_POLICIES}
    assert {attribute.name for attribute in config.attributes.values()} == {attribute.name for attribute in ATTRIBUTES}
    assert all(config.namespace(namespace.code) for namespace in NAMESPACES)


async def test_an_interrupted_load_goes_on_in_its_batches(store):
    class Impatient(Progress):
        """Ends the load once the records are there and the events have begun."""

        def advance(self, task_id, advance=1):  # noqa: ARG002 # as rich calls it
            if len(self.tasks) == 3:
                loading.cancel()

    loading = asyncio.create_task(load_demo(store.db, await store.scope(), Impatient(disable=True), full=False))
    with pytest.raises(asyncio.CancelledError):
        await loading
    ids = await set_up(store.db, await store.scope(), Configurations())
    pages = await list_batches_of_datasets(
        store.db, await store.scope(), BatchPage(Window()), [ids[one.key] for one in DATASETS]
    )
    statuses = [[batch.status for batch in page.items] for page in pages]
    assert statuses == [[BatchStatus.ACTIVE], [BatchStatus.ACTIVE], [BatchStatus.LOADING], [], []]
