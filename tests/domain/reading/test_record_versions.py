"""Versions of records of several people at once, as the domain lists them."""

from dataclasses import replace
from uuid import UUID

import pytest
from world import record

from gateway.domain.reading import record_versions
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission
from gateway.domain.rules.versions import Mode
from gateway.errors import BadCursor, Forbidden

ANA, BEN, CARD = ("Email", "ana@x.io"), ("Email", "ben@x.io"), ("Phone", "+49301")


async def listed(world, people, window=None):
    return await record_versions.list_record_versions(world.db, world.scope, people, window or Window())


async def test_pages_of_many_people_are_those_of_each_in_one_statement(world, statements):
    for name in ("A", "B", "C"):
        await world.records(record(ANA, first_name=name), record(BEN, first_name=name))
        await world.records(record(CARD, first_name=name), dataset=world.loyalty, mode=Mode.MERGE)
    await world.records(record(BEN), mode=Mode.DELETE)
    ana, ben, card = [await world.xid(*name) for name in (ANA, BEN, CARD)]
    people = [(ana, card), (ben,), (UUID(int=7),), (card,)]
    with statements() as ran:
        pages = await listed(world, people, Window(4))
    assert ran == ["record_versions.list_record_versions"]
    assert [page for each in people for page in await listed(world, [each], Window(4))] == pages
    assert [[(version.mode.name[0], version.is_live) for version in page.items] for page in pages] == [
        [("M", True), ("R", True), ("M", True), ("R", False)],
        [("D", True), ("R", False), ("R", False), ("R", False)],
        [],
        [("M", True)] * 3,
    ]
    assert [(page.has_next, page.has_previous) for page in pages] == [(True, False), *[(False, False)] * 3]
    assert await record_versions.count_record_versions(world.db, world.scope, people) == [6, 4, 0, 3]


async def test_profile_read_is_needed(world):
    writer = replace(world.scope, permissions=frozenset({Permission.PROFILE_WRITE}))
    for read in (record_versions.count_record_versions, record_versions.read_inputs):
        with pytest.raises(Forbidden):
            await read(world.db, writer, [])
    with pytest.raises(Forbidden):
        await record_versions.list_record_versions(world.db, writer, [], Window())


async def test_a_cursor_of_another_list_is_refused(world):
    with pytest.raises(BadCursor):
        await listed(world, [(UUID(int=1),)], Window(after=("a", 1)))
