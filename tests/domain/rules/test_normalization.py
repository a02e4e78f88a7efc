"""An identity has one normalized value, invisible values and placeholders are no identities, and old sandboxes keep their rules."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World, event, record

from gateway.domain.config import namespaces, registry
from gateway.domain.config.registry import IdentityDescriptor
from gateway.domain.operations.verification import count_other_spellings, verify
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.names import check_name
from gateway.domain.rules.normalization import NEWEST, RULES, IdentityNormalization
from gateway.domain.rules.text import BLANKS, stripped
from gateway.domain.rules.versions import Mode
from gateway.errors import Invalid
from gateway.storage.queries import Query
from gateway.xdm.classes import XdmClass

EXACT, LOWERCASE, E164 = IdentityNormalization
INVISIBLE = [
    "\u200b",
    "\ufeff",
    "\u2060",
    "\u00ad",
    "\u3164",
    "\u200e",
    "\u115f",
    "\u2800",
    "\u202a\u202c",
    "\U000e0041",
]
INVISIBLE += ["\U000e0002", "\U000e0fff"]  # of no use yet, and drawn as nothing for good
ECID, OTHER = ("ECID", "1" * 38), ("ECID", "2" * 38)
NOBODY = ["", "0", "0000", "-", "---", "00000000-0000-0000-0000-000000000000", "null", "none", "nil", "nan"]
NOBODY += ["undefined", "true", "false", "anonymous", "guest", "unknown", "not_authenticated", "id", "distinct_id"]
NOBODY += ["distinctid", "email", "[object object]", "-1", "n/a"]
rules = pytest.mark.parametrize("rules", RULES.values(), ids=map(str, RULES))


@pytest.fixture
async def earlier(world):
    """The same sandbox as one that was made under the first rules."""
    text = "update gateway.sandbox set text_rules = 1, config_version = config_version + 1 where sandbox_id = $1"
    phones = "update gateway.namespace set normalization = 'EXACT' where sandbox_id = $1 and code = 'Phone'"
    async with world.db.transaction() as tx:
        for sql in (text, phones):
            await tx.execute(
                Query("test.earlier", sql, ("sandbox_id",), (), "none", "For tests."), world.scope.sandbox_id
            )
    world.scope = replace(world.scope, sandbox=await world.fresh_sandbox())
    return world


# ------------------------------------------------------------------------------------------------ the rules themselves


def test_blank_control_and_format_characters_are_invisible():
    for code in range(0x110000):
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Zs", "Zl", "Zp"}:
            assert chr(code) in BLANKS, hex(code)
    assert all(stripped(f"{invisible}a{invisible}") == "a" for invisible in (*INVISIBLE, " "))
    assert stripped("a\u200db") == "a\u200db"


@rules
@given(st.sampled_from(NOBODY), st.sampled_from(["", '"', "'", "`"]), st.sampled_from(["", " ", "\t", "\u00a0"]))
def test_placeholders_are_recognized_in_any_case_and_quotes(rules, value, quote, blank):
    for text in (value, value.upper(), value.title()):
        assert rules.is_placeholder(f"{blank}{quote}{blank}{text}{blank}{quote}{blank}")


@rules
@pytest.mark.parametrize("value", ["ana@example.com", "1", "-2", "a0", "guest1", "anonymous@example.com", "x-0", "007"])
def test_real_values_are_no_placeholders(rules, value):
    assert not rules.is_placeholder(value)


@pytest.mark.parametrize("invisible", INVISIBLE, ids=ascii)
@pytest.mark.parametrize("value", ["", "null", '"guest"', "0"])
def test_invisible_characters_around_a_placeholder_do_not_hide_it(invisible, value):
    assert RULES[NEWEST].is_placeholder(f"{invisible}{value}{invisible}")
    assert not RULES[1].is_placeholder(f"{invisible}{value}{invisible}") or invisible in "\u2028\u3000"


@pytest.mark.parametrize("invisible", INVISIBLE, ids=ascii)
@pytest.mark.parametrize("value", ["gu{}est", "{}0{}0{}", "n{}ull", "'{}'"])
def test_invisible_characters_inside_a_placeholder_do_not_hide_it(invisible, value):
    assert RULES[NEWEST].is_placeholder(value.format(*[invisible] * 3))


@pytest.mark.parametrize("value", ["+0000000000", "000 000 0000", "(000) 000-0000", "+00 00", "0 0", "()"])
def test_a_number_of_zeros_is_a_placeholder_however_it_is_written(value):
    assert RULES[NEWEST].is_placeholder(value)


@given(st.text(), st.sampled_from(IdentityNormalization))
def test_a_form_is_its_own_form_and_that_of_every_composition(value, normalization):
    form = RULES[NEWEST].forms[normalization]
    assert form(form(value)) == form(value)
    assert form(unicodedata.normalize("NFD", value)) == form(unicodedata.normalize("NFC", value)) == form(value)


@given(st.text())
def test_the_first_rules_stay_what_they_were(value):
    assert RULES[1].forms[EXACT](value) == value
    assert RULES[1].forms[LOWERCASE](value) == value.strip().lower()


@rules
@given(
    st.lists(st.text() | st.text("ab@0189 \tAZ") | st.sampled_from(["0", "007", "null", "a@b"])),
    st.sampled_from(IdentityNormalization),
)
def test_many_values_are_normalized_and_recognized_like_each_of_them(rules, values, normalization):
    assert rules.normalized(normalization, values) == list(map(rules.forms[normalization], values))
    assert rules.first_placeholder(values) == next(filter(rules.is_placeholder, values), None)


@pytest.mark.parametrize(
    "number",
    [
        *("+493012345678", "+49 30 1234 5678", "+49 (30) 1234-5678", "0049 30 12345678"),
        *("+49\u00a030\u201112345678", "\u202a+49 30 12345678\u202c", "[+49]30\u201312345678"),
        "+49\u221230 1234\u20145678 ",
    ],
    ids=ascii,
)
def test_spellings_of_a_phone_number_are_one_number(number):
    assert RULES[NEWEST].forms[E164](number) == "+493012345678"


@pytest.mark.parametrize(
    "number", ["030 123", "+1", "+1234567", "+1234567890123456", "ext 5", "+49 30 12345678 x1", "12345678"]
)
def test_what_is_no_international_number_is_compared_as_it_is(number):
    assert RULES[NEWEST].forms[E164](number) == number


# ------------------------------------------------------------------------------------------------ documents


async def test_composed_and_decomposed_are_one_identity(world):
    await world.records(record(("Email", "jo\u0308rg@example.com")), record(("Email", "j\u00f6rg@example.com")))
    await world.events(event("e1", "2026-01-01T00:00:00Z", ("CORE", "e\u0301")))
    assert len(await world.people()) == 2
    assert await world.xid("CORE", "\u00e9") in {xid for person in await world.people() for xid in person}


@pytest.mark.parametrize("invisible", INVISIBLE, ids=ascii)
async def test_people_who_share_an_invisible_value_stay_apart(world, invisible):
    result = await world.events(
        event("e1", "2026-01-01T00:00:00Z", ECID, ("CORE", invisible)),
        event("e2", "2026-01-01T00:00:00Z", OTHER, ("CORE", f"{invisible}null")),
        event("e3", "2026-01-01T00:00:00Z", ("CORE", invisible)),
    )
    assert [warning.code for warning in result.warnings] == ["IDENTITY_PLACEHOLDER"] * 2
    assert [failure.code for failure in result.failed] == ["IDENTITY_PLACEHOLDER"]
    assert len(await world.people()) == 2


@pytest.mark.parametrize("kind", ["long", "integer", "short"])
async def test_a_whole_number_is_one_identity_however_it_is_written(db, kind):
    fields = {"acct": {"type": "integer", "meta:xdmType": kind}}
    world = await World.create(db, "num", [IdentityDescriptor("_num.acct", "CORE", is_primary=True)], fields)
    spellings = [b"12345", b"12345.0", b"1.2345e4", b"123450e-1", b"12345.000"]
    lines = [b'{"_num": {"acct": %b}}' % spelling for spelling in spellings]
    result = await world.records(*lines)
    assert (result.accepted, result.duplicates) == (1, 4)
    assert await world.people() == {(await world.xid("CORE", "12345"),)}
    for zero in (b"0", b"-0.0", b"0e5", b"-0"):
        refused = await world.records(b'{"_num": {"acct": %b}}' % zero)
        assert [failure.code for failure in refused.failed] == ["IDENTITY_PLACEHOLDER"]


async def test_a_phone_number_that_is_not_international_is_taken_with_a_warning(world):
    result = await world.records(record(("Phone", "+49 (30) 1234-567"), first_name="Ana"))
    assert (result.accepted, result.warnings) == (1, [])
    result = await world.records(record(("Phone", "0049301234567"), first_name="Ana"), record(("Phone", "030 123")))
    assert result.accepted == 2
    assert [(warning.code, warning.path) for warning in result.warnings] == [
        ("IDENTITY_E164", "$.identityMap.Phone[0].id")
    ]
    assert len(await world.people()) == 2


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize("invisible", [*INVISIBLE, " ", "\u3000"], ids=ascii)
async def test_a_name_that_looks_empty_is_refused(module_world, invisible):
    """Of whatever has a name: they are all checked by one function."""
    with pytest.raises(Invalid):
        check_name(invisible)
    for code in (invisible, f"Shop{invisible}"):
        with pytest.raises(Invalid):
            await namespaces.create_namespace(
                module_world.db, module_world.scope, code=code, name="Shop", kind=IdentityType.CROSS_DEVICE
            )
    check_name(f"Shop{invisible}s")


# ------------------------------------------------------------------------------------------------ sandboxes of before


async def test_a_sandbox_of_before_keeps_every_key_and_verify_counts_what_would_differ(earlier):
    named = ["jo\u0308rg@example.com", "j\u00f6rg@example.com", "ada@example.com", "\u200b"]
    await earlier.records(*(record(("Email", value)) for value in named))
    await earlier.records(record(("Phone", "+49 30 1234567")), record(("Phone", "+49301234567")))
    assert len(await earlier.people()) == 6
    assert await earlier.xid("Email", named[0]) != await earlier.xid("Email", named[1])
    count = (earlier.db, earlier.scope, earlier.configurations)
    assert await count_other_spellings(*count) == 3
    assert await verify(*count) == []


async def test_a_new_sandbox_has_no_value_that_the_newest_rules_would_change(world):
    await world.records(record(("Email", "jo\u0308rg@example.com")), record(("Phone", "030 123")))
    assert world.scope.sandbox.text_rules == NEWEST
    assert await count_other_spellings(world.db, world.scope, world.configurations) == 0


# ------------------------------------------------------------------------------------------------ what is about no person


@pytest.fixture
async def stores(world):
    await namespaces.create_namespace(world.db, world.scope, code="Store", name="Store", kind=IdentityType.NON_PEOPLE)
    world.scope = replace(world.scope, sandbox=await world.fresh_sandbox())
    return world


STORE = ("Store", "store-1")


async def test_a_primary_identity_of_a_schema_has_a_namespace_of_people(stores):
    described = [IdentityDescriptor("personID", "Store", is_primary=True)]
    with pytest.raises(Invalid) as caught:
        await registry.create_schema(
            stores.db, stores.scope, title="Stores", xdm_class=XdmClass.INDIVIDUAL_PROFILE, identities=described
        )
    assert caught.value.path == ["identities", "0", "namespace"]
    named = [replace(described[0], is_primary=False)]
    schema = await registry.create_schema(
        stores.db,
        stores.scope,
        title="Stores",
        xdm_class=XdmClass.INDIVIDUAL_PROFILE,
        identities=named,
        is_profile_enabled=False,
    )
    with pytest.raises(Invalid):
        await registry.update_schema(stores.db, stores.scope, schema.schema_id, identities=described)


@pytest.mark.parametrize("mode", Mode)
async def test_a_record_about_no_person_is_refused_with_the_reason(stores, mode):
    marked, sole = record(STORE, ECID), {"identityMap": {"Store": [{"id": "store-1"}]}}
    result = await stores.records(marked, sole, record(ECID, STORE), mode=mode)
    assert [(failure.code, failure.path) for failure in result.failed] == [
        ("IDENTITY_PRIMARY", "$.identityMap.Store[0].id")
    ] * 2
    assert "NON_PEOPLE" in result.failed[0].message


async def test_an_event_about_no_person_is_refused_with_the_reason(stores):
    noon = "2026-01-01T12:00:00Z"
    sole = {**event("e2", noon), "identityMap": {"Store": [{"id": "store-1"}]}}
    result = await stores.events(event("e1", noon, STORE), sole, event("e3", noon, ECID, STORE))
    assert [failure.code for failure in result.failed] == ["IDENTITY_PRIMARY"] * 2
    assert (result.accepted, await stores.people()) == (1, {(await stores.xid(*ECID),)})
