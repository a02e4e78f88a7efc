"""Refused documents, kept with their batch: all rules that each breaks, by arrival, by code."""

from dataclasses import replace
from uuid import uuid4

import pytest
from world import record

from gateway.domain.facts import ingest_errors
from gateway.domain.facts.ingest_errors import ErrorPage
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission
from gateway.errors import Forbidden
from gateway.xdm.validation import MAX_VIOLATIONS
from gateway.xdm.violations import ViolationCode

ANA = ("Email", "ana@x.io")


def wrong(**fields):
    return record(ANA, **fields)


async def errors_of(world, *batch_ids, codes=None, **window):
    asked = ErrorPage(Window(**window), codes)
    return await ingest_errors.list_errors(world.db, world.scope, asked, batch_ids)


async def test_refused_documents_stay_with_their_batch_in_the_order_in_which_they_came(world, statements):
    one, two = await world.batch("one"), await world.batch("two")
    await world.records(wrong(a=0), record(ANA), wrong(a=2), batch_id=one)
    await world.records(wrong(b=0), batch_id=two)
    await world.records(wrong(a=3), batch_id=one)
    asked = [two, uuid4(), one]
    with statements() as names:
        second, unknown, first = await errors_of(world, *asked, size=2)
    assert len(names) == 1
    assert [error.document for error in first.items] == [wrong(a=0), wrong(a=2)]
    assert [(error.index, error.code, error.path) for error in first.items] == [
        (0, "UNKNOWN_FIELD", "$.a"),
        (2, "UNKNOWN_FIELD", "$.a"),
    ]
    assert (first.has_next, unknown.items, [error.document for error in second.items]) == (True, [], [wrong(b=0)])
    (rest,) = await errors_of(world, one, after=first.items[-1].key)
    assert [error.document for error in rest.items] == [wrong(a=3)]
    (back,) = await errors_of(world, one, size=1, backward=True, before=rest.items[0].key)
    assert back.items == first.items[1:]
    assert await ingest_errors.count_errors(world.db, world.scope, None, asked) == [1, 0, 3]


async def test_all_rules_that_a_document_breaks_are_kept_and_listed(world):
    bad = {**record(ANA), "colour": "red", "person": {"birthDate": "never", "gender": "robot"}}
    nowhere = record(ANA, ("Nowhere", "1"), ("ECID", "12"), ("Elsewhere", "2"))
    batch = await world.batch("key")
    result = await world.records(bad, nowhere, {f"f{n}": n for n in range(99)}, batch_id=batch)
    (page,) = await errors_of(world, batch)
    assert [error.violations for error in page.items] == [failure.violations for failure in result.failed]
    assert [{(each.path, each.code) for each in error.violations} for error in page.items[:2]] == [
        {("$.colour", "UNKNOWN_FIELD"), ("$.person.birthDate", "FORMAT"), ("$.person.gender", "ENUM")},
        {
            ("$.identityMap.Nowhere[0].id", "IDENTITY_NAMESPACE"),
            ("$.identityMap.ECID[0].id", "IDENTITY_VALUE"),
            ("$.identityMap.Elsewhere[0].id", "IDENTITY_NAMESPACE"),
        },
    ]
    assert len(page.items[2].violations) == MAX_VIOLATIONS
    for error in page.items:
        first = error.violations[0]
        assert (error.path, error.code, error.message) == (first.path, first.code, first.message)


async def test_a_code_finds_documents_that_break_this_rule_among_others(world):
    batch = await world.batch("key")
    bad = {"a": 1, "person": {"birthDate": "never"}}
    await world.records({"a": 1}, bad, record(ANA, ("Nowhere", "1")), batch_id=batch)
    for codes, indexes in (
        ((ViolationCode.UNKNOWN_FIELD,), [0, 1]),
        ((ViolationCode.FORMAT,), [1]),
        ((ViolationCode.FORMAT, ViolationCode.IDENTITY_NAMESPACE), [1, 2]),
        ((ViolationCode.SIZE,), []),
        ((), []),
        (None, [0, 1, 2]),
    ):
        (page,) = await errors_of(world, batch, codes=codes)
        assert [error.index for error in page.items] == indexes
        assert await ingest_errors.count_errors(world.db, world.scope, codes, [batch]) == [len(indexes)]


async def test_only_readers_of_profiles_see_refused_documents(world):
    loader = replace(world.scope, permissions=frozenset({Permission.PROFILE_WRITE}))
    for verb in (
        ingest_errors.list_errors(world.db, loader, ErrorPage(Window()), []),
        ingest_errors.count_errors(world.db, loader, None, []),
        ingest_errors.list_failed_indexes(world.db, loader, uuid4()),
    ):
        with pytest.raises(Forbidden, match="profile:read"):
            await verb
