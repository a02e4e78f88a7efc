"""Documents that break a rule fail with a path and a code, and the others are stored."""

import re
from dataclasses import replace
from datetime import timedelta
from random import Random

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from public_names import ROOT
from world import World, event, record

from gateway.domain.config import datasets
from gateway.domain.config.identity_settings import NamespaceRule, update_identity_settings
from gateway.domain.config.namespaces import create_namespace
from gateway.domain.config.registry import CLOCK, IdentityDescriptor
from gateway.domain.ingest.validation import Reader
from gateway.domain.rules.graphs import IdentityType
from gateway.errors import Invalid
from gateway.xdm.violations import ViolationCode

ECID = "1" * 38
GOOD = record(("Email", "ana@example.com"), first_name="Ana")


async def failure_of(result):
    (failure,) = result.failed
    return failure.path, failure.code


@pytest.mark.parametrize(
    ("document", "path", "code"),
    [
        ({**GOOD, "colour": "red"}, "$.colour", "UNKNOWN_FIELD"),
        ({**GOOD, "person": {"name": {"firstName": 7}}}, "$.person.name.firstName", "TYPE"),
        ({**GOOD, "person": {"birthDate": "1985-02-30"}}, "$.person.birthDate", "FORMAT"),
        ({**GOOD, "person": {"gender": "robot"}}, "$.person.gender", "ENUM"),
        ({**GOOD, "person": {"name": {"firstName": ""}}}, "$.person.name.firstName", "EMPTY_VALUE"),
        ({**GOOD, "person": None}, "$.person", "EMPTY_VALUE"),
        ({**GOOD, "person": {"name": {"firstName": "x" * 100_000}}}, "$", "SIZE"),
        ({"person": {"name": {"firstName": "Ana"}}}, "$.identityMap", "IDENTITY_MISSING"),
        ({"identityMap": {"Email": [{"id": "a@b.c"}], "Phone": [{"id": "+1"}]}}, "$.identityMap", "IDENTITY_MISSING"),
        (
            {"identityMap": {"Email": [{"id": "a@b.c", "primary": True}, {"id": "b@b.c", "primary": True}]}},
            "$.identityMap.Email[1].id",
            "IDENTITY_PRIMARY",
        ),
        (record(("Nowhere", "1")), "$.identityMap.Nowhere[0].id", "IDENTITY_NAMESPACE"),
        (record(("ECID", "123")), "$.identityMap.ECID[0].id", "IDENTITY_VALUE"),
        (record(("Email", "x" * 1025)), "$.identityMap.Email[0].id", "LENGTH"),
        (record(*(("Phone", f"+{n}") for n in range(1, 22))), "$", "IDENTITY_COUNT"),
        (record(("Email", " NULL ")), "$.identityMap.Email[0].id", "IDENTITY_PLACEHOLDER"),
        ({"identityMap": {"Email": [{"id": "guest"}]}}, "$.identityMap.Email[0].id", "IDENTITY_PLACEHOLDER"),
        ([], "$", "EMPTY_VALUE"),
        (7, "$", "TYPE"),
        (b'{"person": ', "$", "JSON"),
        (b"\xff", "$", "JSON"),
        (b'{"identityMap": {"Email": [{"id": "a\\u0000b"}]}}', "$.identityMap.Email[0].id", "CHARACTER"),
    ],
)
async def test_a_bad_record_fails_and_the_others_are_stored(world, document, path, code):
    result = await world.records(GOOD, document, record(("Email", "bob@example.com")))
    assert await failure_of(result) == (path, code)
    assert (result.accepted, result.duplicates, result.failed[0].index) == (2, 0, 1)


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"_id": None}, "$._id", "EMPTY_VALUE"),
        ({"_id": "x" * 513}, "$._id", "LENGTH"),
        ({"eventType": "x" * 129}, "$.eventType", "LENGTH"),
        ({"timestamp": "yesterday"}, "$.timestamp", "FORMAT"),
        ({"timestamp": "2026-01-01T00:00:00"}, "$.timestamp", "FORMAT"),
        ({"eventType": "x" * 10_000}, "$", "SIZE"),
    ],
)
async def test_a_bad_event_fails_and_the_others_are_stored(world, change, path, code):
    good = event("e1", "2026-01-01T00:00:00Z", ("ECID", ECID))
    result = await world.events(good, {**good, "_id": "e2", **change})
    assert await failure_of(result) == (path, code)
    assert result.accepted == 1


async def test_the_longest_id_and_type_of_an_event_fit_in_an_index(world):
    """Of characters that take four bytes each, and that Postgres cannot compress."""
    signs = [chr(0x10000 + Random(n).randrange(0x100000)) for n in range(640)]
    longest = event("".join(signs[:512]), "2026-01-01T00:00:00Z", ("ECID", ECID), eventType="".join(signs[512:]))
    result = await world.events(longest)
    assert (result.accepted, result.failed) == (1, [])


async def test_only_stored_documents_have_warnings(world):
    """A document that is refused, by a rule or by the database, has a failure and no warning."""
    refused = record(("Email", "null"), ("Phone", "guest"))
    result = await world.records(refused, record(("Email", "ana@example.com"), ("Phone", "guest")))
    assert [failure.index for failure in result.failed] == [0]
    assert [warning.index for warning in result.warnings] == [1]


async def test_a_line_of_text_is_read_like_a_value(world):
    lines = [orjson.dumps(GOOD), orjson.dumps(GOOD)]
    result = await world.records(*lines)
    assert (result.accepted, result.duplicates) == (1, 1)


async def test_a_placeholder_beside_a_real_identity_is_left_out_and_reported(world):
    result = await world.records(record(("Email", "ana@example.com"), ("Phone", "000-000")))
    assert (result.accepted, [(w.code, w.path) for w in result.warnings]) == (
        1,
        [("IDENTITY_PLACEHOLDER", "$.identityMap.Phone[0].id")],
    )
    other = await world.records(record(("Email", "bob@example.com"), ("Phone", "000-000")))
    assert other.accepted == 1
    assert len(await world.people()) == 2


async def test_a_sole_identity_needs_no_mark(world):
    result = await world.records({"identityMap": {"Email": [{"id": "ana@example.com"}]}})
    assert result.accepted == 1


async def test_values_are_compared_as_their_namespace_says(world):
    await world.records(record(("Email", " Ana@Example.com ")), record(("Email", "ana@example.com")))
    await world.records(record(("Phone", "+1a")), record(("Phone", "+1A")))
    assert len(await world.people()) == 3


async def test_a_field_named_by_an_identity_descriptor_ties_too(db):
    described = [
        IdentityDescriptor("personID", "Phone", is_primary=True),
        IdentityDescriptor("workEmail.address", "Email", is_primary=False),
    ]
    world = await World.create(db, identities=described)
    result = await world.records({"personID": "p1", "workEmail": {"address": "ana@example.com"}})
    assert result.accepted == 1
    (person,) = await world.people()
    assert len(person) == 2
    missing = await world.records({"workEmail": {"address": "ana@example.com"}})
    assert await failure_of(missing) == ("$.personID", "IDENTITY_MISSING")


async def test_every_identity_that_is_wrong_is_named(world):
    wrong = record(("Email", "ana@example.com"), ("Nowhere", "1"), ("ECID", "12"), ("my-own", "2"))
    (failure,) = (await world.records(wrong)).failed
    assert [(each.path, each.code) for each in failure.violations] == [
        ("$.identityMap.Nowhere[0].id", "IDENTITY_NAMESPACE"),
        ("$.identityMap.ECID[0].id", "IDENTITY_VALUE"),
        ("$.identityMap['my-own'][0].id", "IDENTITY_NAMESPACE"),
    ]


# ------------------------------------------------------------------------------------------------ the codes

FAILURES = [
    "JSON",
    "SIZE",
    "DEPTH",
    "CHARACTER",
    "TYPE",
    "FORMAT",
    "PATTERN",
    "ENUM",
    "RANGE",
    "LENGTH",
    "REQUIRED",
    "UNKNOWN_FIELD",
    "EMPTY_VALUE",
    "IDENTITY_MISSING",
    "IDENTITY_COUNT",
    "IDENTITY_NAMESPACE",
    "IDENTITY_VALUE",
    "IDENTITY_PRIMARY",
    "IDENTITY_PLACEHOLDER",
    "EXPIRED",
    "ERASED_IDENTITY",
    "UNSTORABLE",
]
WARNINGS = ["IDENTITY_E164", "IDENTITY_CAP", "FUTURE_TIME", "EVENT_DIFFERS"]


def test_the_document_on_ingestion_says_of_each_code_what_it_means():
    text = (ROOT / "gateway" / "docs" / "ingest.md").read_text("utf-8")
    chapter = text.partition("## What can be wrong with a document")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([A-Z0-9_]+)` \|", chapter, re.MULTILINE) == [*FAILURES, *WARNINGS]


def test_each_code_of_the_list_is_used_and_no_code_is_used_as_text():
    paths = [path for room in ("xdm", "domain") for path in (ROOT / "gateway" / room).rglob("*.py")]
    sources = [path.read_text("utf-8") for path in paths]
    used = {code for text in sources for code in re.findall(r"\bViolationCode\.([A-Z0-9_]+)\b", text)}
    assert used == {*FAILURES, *WARNINGS} == {code.value for code in ViolationCode}
    texts = {code for text in sources for code in re.findall(r'(?<!= )"([A-Z0-9]+_[A-Z0-9_]+)"', text)}
    assert not texts & used


async def test_an_event_is_refused_that_is_older_than_its_dataset_keeps_events(world, later, statements):
    db = await later(timedelta(days=400))  # its clock, by which the age counts, stands still
    now = await db.value(CLOCK)
    ages = {"within": timedelta(days=30), "beyond": timedelta(days=30, milliseconds=1)}
    events = [event(name, (now - age).isoformat(), ("Email", "ana@x.io")) for name, age in ages.items()]
    there = replace(world, db=db)
    with statements() as names:
        assert (await there.events(*events)).accepted == 2
    assert "datasets.read_oldest_time" not in names
    await datasets.update_dataset(db, world.scope, world.shop.dataset_id, {"event_retention_days": 30})
    there.scope = replace(world.scope, sandbox=await there.fresh_sandbox())
    result = await there.events(*events)  # also of one that is stored already
    assert (result.accepted, result.duplicates) == (0, 1)
    assert await failure_of(result) == ("$.timestamp", "EXPIRED")
    with pytest.raises(Invalid) as caught:
        await datasets.update_dataset(db, world.scope, world.crm.dataset_id, {"event_retention_days": 30})
    assert caught.value.path == ["eventRetentionDays"]


# ------------------------------------------------------------------------------------------------ the fast path

SIMPLE = [("Email", "a@b.c"), ("Email", " B@b.C "), ("Phone", "+1 513 0000001"), ("IDFA", "70"), ("ECID", ECID)]
TROUBLESOME = [
    *[("Email", "guest"), ("Email", "x" * 1025), ("Phone", "513"), ("ECID", "1"), ("IDFA", "\u200b"), ("IDFA", "0")],
    *[("Nowhere", "1"), ("Shelf", "1")],
]
NAMED = st.tuples(
    st.lists(st.sampled_from(SIMPLE), unique=True, max_size=5),
    st.sampled_from([1, 1, 1, 5]),  # how often each is named
    st.lists(st.sampled_from(TROUBLESOME), max_size=1),
    st.sampled_from([{0}, {1}, {2}, {0, 1}, set()]),  # which are marked as primary
)


class Thorough(Reader):
    """A reader that takes the thorough path for every document."""

    def _simple_identities(self, _):
        return None


@pytest.mark.parametrize("is_ranked", [False, True])
async def test_the_fast_path_for_identities_agrees_with_the_thorough_one(world, is_ranked):
    """The fast path returns the identities that the thorough one finds, or leaves the document to it."""
    await create_namespace(world.db, world.scope, code="Shelf", name="Shelf", kind=IdentityType.NON_PEOPLE)
    if is_ranked:
        rules = [NamespaceRule("Email", is_unique=True), NamespaceRule("ECID")]
        await update_identity_settings(world.db, world.scope, rules)
    config, took_fast_path = await world.config(), set()

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
    @given(NAMED, st.booleans())
    def check(named, is_event):
        plain, times, troublesome, marked = named
        mapped = {}
        for place, (code, value) in enumerate([*plain * times, *troublesome]):
            mark = {"primary": True} if place in marked else {}
            mapped.setdefault(code, []).append({"id": value, **mark})
        document = event("e1", "2026-01-01T00:00:00.000Z") if is_event else record(first_name="Ana")
        document["identityMap"] = mapped
        given_to = (config, world.scope.sandbox, world.shop if is_event else world.crm)
        fast, thorough = Reader(*given_to), Thorough(*given_to)
        assert fast.read(0, document) == thorough.read(0, document)
        assert (fast.failures, fast.warnings) == (thorough.failures, thorough.warnings)
        took_fast_path.add(fast._simple_identities(document) is not None)

    check()
    assert took_fast_path == {True, False}
