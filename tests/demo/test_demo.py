"""The demo's documents: all of The Complete Journey, valid, labelled where invented, and the same every time."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import orjson
import pytest

from gateway.demo import purchases, source, synthetic
from gateway.demo.catalogue import count, documents
from gateway.demo.configuration import DATASETS, MERGE_POLICIES, NAMESPACES, SCHEMAS, Schema
from gateway.demo.purchases import LINES_PER_EVENT
from gateway.demo.source import Journey
from gateway.demo.visits import STRANGERS
from gateway.errors import BadInput
from gateway.xdm.classes import XdmClass, compose
from gateway.xdm.evolution import conflicts, union
from gateway.xdm.paths import field_at
from gateway.xdm.validation import Validator

LINES = 1_469_307
BASKETS = 155_848
HOUSEHOLDS = 2_469
KEYS = [dataset.key for dataset in DATASETS]
SCHEMA_OF = {dataset.key: next(schema for schema in SCHEMAS if schema.key == dataset.schema) for dataset in DATASETS}


@pytest.fixture(scope="module")
def journey() -> Journey:
    return Journey.installed()


@pytest.fixture(scope="module")
def second_journey() -> Journey:
    """What another process reads."""
    return Journey.installed()


class FirstWeeks(Journey):
    """The journey until its first hundred thousand lines were bought."""

    def _batches(self, columns: Sequence[str]) -> Iterator[list[Any]]:
        return islice(super()._batches(columns), 100_000 // source.BATCH_LINES)


@pytest.fixture
def first_weeks(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> Journey:
    """A part of the journey, in which many households have more baskets than the default load takes."""
    monkeypatch.setattr(purchases, "NEWEST_BASKETS", 4)
    return FirstWeeks(journey.directory)


def by_number(journey: Journey, key: str, field: str) -> dict[str, dict[str, Any]]:
    return {document["_demo"][field]: document for document in documents(journey, key)}


def composed(schema: Schema, tenant: str) -> dict[str, Any]:
    return compose(schema.xdm_class, schema.field_groups, schema.custom_fields, tenant)


def identities(schema: Schema, document: dict[str, Any], tenant: str = "demo") -> Iterator[tuple[str, str]]:
    """Every (namespace, value) that a document names, by descriptor or in its identityMap."""
    for descriptor in schema.identities:
        value: Any = document
        for step in descriptor.path_of(tenant).split("."):
            value = value.get(step) if value else None
        if value:
            yield descriptor.namespace, value
    for namespace, items in document.get("identityMap", {}).items():
        yield from ((namespace, item["id"]) for item in items)


def cents(amount: float) -> int:
    return round(amount * 100)


class TestSource:
    def test_every_purchase_line_is_in_one_basket_in_the_order_of_time(self, journey: Journey) -> None:
        ids: Counter[int] = Counter()
        sizes, last = [], ""
        for basket in journey.baskets():
            assert basket.at >= last
            last = basket.at
            ids[basket.basket_id] += 1
            sizes.append((basket.household_id, len(basket.lines)))
        assert (len(ids), max(ids.values())) == (BASKETS, 1)
        assert sum(lines for _, lines in sizes) == LINES
        assert sizes == [tuple(size) for size in journey.basket_sizes]
        assert len(journey.households) == HOUSEHOLDS

    @pytest.mark.parametrize("batch_lines", [7, 64, 1000])
    def test_baskets_do_not_depend_on_where_batches_end(
        self, journey: Journey, monkeypatch: pytest.MonkeyPatch, batch_lines: int
    ) -> None:
        expected = list(islice(journey.baskets(), 500))
        monkeypatch.setattr(source, "BATCH_LINES", batch_lines)
        assert list(islice(journey.baskets(), 500)) == expected

    def test_missing_data_say_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(source, "PACKAGE", "a_package_that_is_not_installed")
        with pytest.raises(BadInput, match=r"profile-gateway\[demo\]"):
            Journey.installed()


class TestConfiguration:
    @pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.key)
    def test_identities_are_text_fields_of_the_schema(self, schema: Schema) -> None:
        fields = composed(schema, "acme")
        for descriptor in schema.identities:
            field = field_at(fields, descriptor.path_of("acme"))
            assert field is not None
            assert field["type"] == "string"
        assert sum(descriptor.is_primary for descriptor in schema.identities) == len(schema.identities[:1])

    @pytest.mark.parametrize("xdm_class", XdmClass)
    def test_schemas_of_a_class_agree(self, xdm_class: XdmClass) -> None:
        first, *others = [composed(schema, "demo") for schema in SCHEMAS if schema.xdm_class is xdm_class]
        for other in others:
            assert conflicts(first, other) == []
            first = union([first, other])

    def test_merge_policies_order_known_datasets(self) -> None:
        assert all(key in KEYS for policy in MERGE_POLICIES for key in policy.order)


class TestDocuments:
    @pytest.mark.parametrize("key", KEYS)
    def test_all_are_valid_and_small(self, journey: Journey, key: str) -> None:
        validator = Validator(composed(SCHEMA_OF[key], "demo"))
        known = {namespace.code for namespace in NAMESPACES} | {"Email", "ECID"}
        ids = set()
        sent = 0
        for document in documents(journey, key):
            sent += 1
            assert validator.violations(document) == []
            assert len(orjson.dumps(document)) < 3_000
            named = list(identities(SCHEMA_OF[key], document))
            assert {namespace for namespace, _ in named} <= known
            assert all(re.fullmatch("[0-9]{38}", value) for namespace, value in named if namespace == "ECID")
            ids.add(document.get("_id") or named[0])
        assert len(ids) == sent == count(journey, key)

    @pytest.mark.parametrize("key", KEYS)
    def test_a_second_load_brings_the_same_documents(self, journey: Journey, second_journey: Journey, key: str) -> None:
        again = documents(second_journey, key)
        assert list(islice(documents(journey, key), 3_000)) == list(islice(again, 3_000))

    def test_values_do_not_change_between_versions(self, journey: Journey) -> None:
        household = by_number(journey, "crm", "householdNumber")["1"]
        assert household["personalEmail"]["address"] == "alexandra.whitfield.1@example.com"
        assert by_number(journey, "loyalty", "loyaltyNumber")["LC-07919"]["loyalty"]["points"] == 22_189
        assert synthetic.browser(1) == "86412538355868779665169739514952590385"

    @pytest.mark.parametrize("key", KEYS)
    def test_custom_fields_are_under_the_key_of_the_tenant(self, journey: Journey, key: str) -> None:
        document = next(documents(journey, key, tenant="acme"))
        assert [field for field in document if field.startswith("_") and field != "_id"] == ["_acme"]
        assert Validator(composed(SCHEMA_OF[key], "acme")).is_valid(document)

    def test_an_unknown_dataset_is_refused_by_name(self, journey: Journey) -> None:
        with pytest.raises(BadInput, match=r"no dataset 'crn'.*campaigns, crm, loyalty, purchases, visits"):
            documents(journey, "crn")


class TestPeople:
    def test_real_demographics_stay_as_they_are(self, journey: Journey) -> None:
        crm = by_number(journey, "crm", "householdNumber")
        assert len(crm) == HOUSEHOLDS
        assert sum("demographics" in document["_demo"] for document in crm.values()) == 801
        assert crm["1"]["_demo"]["demographics"] == {
            "ageGroup": "65+",
            "incomeRange": "35-49K",
            "homeOwnership": "Homeowner",
            "maritalStatus": "Married",
            "householdSize": "2",
            "composition": "2 Adults No Kids",
            "kids": "0",
        }
        assert sum("maritalStatus" in document["person"] for document in crm.values()) == 340

    def test_loyalty_disagrees_with_the_crm_and_can_be_joined(self, journey: Journey) -> None:
        crm = by_number(journey, "crm", "householdNumber")
        loyalty = by_number(journey, "loyalty", "loyaltyNumber")
        members = [household for household in journey.households if synthetic.is_member(household)]
        assert len(loyalty) == len(members)
        for household in members:
            ours, theirs = crm[str(household)], loyalty[synthetic.loyalty_number(household)]
            assert theirs["person"]["name"] != ours["person"]["name"]
            assert theirs["mobilePhone"] != ours["mobilePhone"]
            same_address = theirs["personalEmail"]["address"] == ours["personalEmail"]["address"]
            assert same_address is ("householdNumber" not in theirs["_demo"])

    @pytest.mark.parametrize("key", ["crm", "loyalty"])
    def test_invented_contacts_cannot_belong_to_real_people(self, journey: Journey, key: str) -> None:
        for document in documents(journey, key):
            assert re.search(r"@example\.(com|org)$", document["personalEmail"]["address"])
            assert re.fullmatch(r"\+1 [0-9]{3} 555 01[0-9]{2}", document["mobilePhone"]["number"])
            assert {"person.name", "personalEmail", "mobilePhone"} < set(document["_demo"]["synthetic"])

    @pytest.mark.parametrize("key", ["crm", "loyalty"])
    def test_some_say_when_they_changed_and_some_do_not(self, journey: Journey, key: str) -> None:
        stamped = Counter("extSourceSystemAudit" in document for document in documents(journey, key))
        assert stamped[True] > stamped[False] > 100


class TestPurchases:
    def test_the_default_load_has_the_newest_baskets_and_their_true_totals(self, first_weeks: Journey) -> None:
        ids: dict[int, list[int]] = defaultdict(list)
        for basket in first_weeks.baskets():
            ids[basket.household_id].append(basket.basket_id)
        assert max(map(len, ids.values())) > purchases.NEWEST_BASKETS
        newest = {basket_id for baskets in ids.values() for basket_id in baskets[-purchases.NEWEST_BASKETS :]}
        expected = (basket for basket in first_weeks.baskets() if basket.basket_id in newest)
        for basket, event in zip(expected, documents(first_weeks, "purchases"), strict=True):
            order, items = event["commerce"]["order"], event["productListItems"]
            assert event["_id"] == order["purchaseID"] == str(basket.basket_id)
            assert cents(order["priceTotal"]) == sum(cents(line[2]) for line in basket.lines)
            assert cents(order.get("discountAmount", 0)) == sum(cents(line[3]) for line in basket.lines)
            assert event["_demo"]["basket"]["lineCount"] == len(basket.lines)
            assert [item["SKU"] for item in items] == [str(line[0]) for line in basket.lines[:LINES_PER_EVENT]]

    def test_a_full_load_adds_every_line_and_changes_no_event(self, first_weeks: Journey) -> None:
        default = documents(first_weeks, "purchases")
        awaited = next(default, None)
        lines = baskets = total = 0
        ids = set()
        for event in documents(first_weeks, "purchases", full=True):
            ids.add(event["_id"])
            lines += len(event["productListItems"])
            baskets += event["commerce"].get("purchases", {}).get("value", 0)
            total += cents(event["commerce"]["order"].get("priceTotal", 0))
            if awaited and event["_id"] == awaited["_id"]:
                assert event == awaited
                awaited = next(default, None)
        assert awaited is None
        assert len(ids) == count(first_weeks, "purchases", full=True)
        assert baskets == sum(1 for _ in first_weeks.baskets())
        bought = [line for basket in first_weeks.baskets() for line in basket.lines]
        assert (lines, total) == (len(bought), sum(cents(line[2]) for line in bought))

    def test_further_events_of_a_basket_are_valid_too(self, journey: Journey) -> None:
        validator = Validator(composed(SCHEMA_OF["purchases"], "demo"))
        events = islice(documents(journey, "purchases", full=True), 20_000)
        further = [event for event in events if event["eventType"] == "commerce.purchaseLines"]
        assert len(further) > 1_000
        assert all(validator.is_valid(event) for event in further)

    def test_invented_devices_are_labelled(self, journey: Journey) -> None:
        labelled = Counter(
            ("ECID" in event["identityMap"], event["_demo"].get("synthetic") == ["identityMap.ECID"])
            for event in islice(documents(journey, "purchases"), 20_000)
        )
        assert set(labelled) == {(True, True), (False, False)}
        assert labelled[True, True] > 1_000


class TestIdentityStories:
    def test_people_are_households_but_for_the_stories(self, journey: Journey) -> None:
        graphs = Graphs()
        for key in KEYS:
            for document in documents(journey, key):
                graphs.add(list(identities(SCHEMA_OF[key], document)))
        people = graphs.components()
        households = [{value for namespace, value in person if namespace == "Household"} for person in people]
        together = {frozenset(map(str, group)) for group in (synthetic.SHARED_EMAIL, *synthetic.SHARED_BROWSERS)}
        assert {frozenset(group) for group in households if len(group) > 1} == together
        assert sum(not group for group in households) == STRANGERS
        assert len(people) == HOUSEHOLDS + STRANGERS - sum(len(group) - 1 for group in together)
        assert max(map(len, people)) < 20

    def test_a_visitor_signs_in_once_and_is_known_from_then_on(self, journey: Journey) -> None:
        known: dict[str, list[bool]] = defaultdict(list)
        times: dict[str, list[str]] = defaultdict(list)
        for event in documents(journey, "visits"):
            visitor = event["_id"].rsplit("-", 1)[0]
            known[visitor].append("Email" in event["identityMap"])
            times[visitor].append(event["timestamp"])
            assert event["producedBy"] == "synthetic"
        for visitor, seen in known.items():
            assert seen == [False] + [visitor.startswith("visit-household")] * (len(seen) - 1)
            assert times[visitor] == sorted(times[visitor])


class Graphs:
    """Connected components, as plainly as they can be written."""

    def __init__(self) -> None:
        self._parent: dict[tuple[str, str], tuple[str, str]] = {}

    def add(self, together: list[tuple[str, str]]) -> None:
        for identity in together:
            self._parent[self._root(identity)] = self._root(together[0])

    def components(self) -> list[set[tuple[str, str]]]:
        groups = defaultdict(set)
        for identity in self._parent:
            groups[self._root(identity)].add(identity)
        return list(groups.values())

    def _root(self, identity: tuple[str, str]) -> tuple[str, str]:
        self._parent.setdefault(identity, identity)
        while self._parent[identity] != identity:
            identity = self._parent[identity]
        return identity
