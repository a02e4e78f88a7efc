"""Ingestion warnings: counted per dataset and code, listed by the time when they were first seen."""

from dataclasses import replace
from uuid import uuid4

import pytest
from world import event, record

from gateway.domain.config import sandboxes
from gateway.domain.facts import warnings
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission, SandboxType
from gateway.errors import BadCursor, Forbidden

ANA, NOBODY = ("Email", "ana@x.io"), ("Phone", "0000")


@pytest.fixture
async def raised(world):
    """Cause one warning per dataset, and return them, latest first."""
    await world.records(record(ANA, NOBODY))
    await world.records(record(ANA, NOBODY), dataset=world.loyalty)
    await world.events(event("1", "2026-01-01T00:00:00Z", ANA, NOBODY))
    await world.records(record(ANA, NOBODY, first_name="Ana"))
    return (await warnings.list_warnings(world.db, world.scope, Window())).items


async def test_what_was_not_used_as_sent_is_counted_by_kind_and_dataset(world, raised):
    assert [warning.dataset_id for warning in raised] == [
        dataset.dataset_id for dataset in (world.shop, world.loyalty, world.crm)
    ]
    crm = raised[-1]
    assert (crm.code, crm.count) == ("IDENTITY_PLACEHOLDER", 2)
    assert crm.first_seen_at < crm.last_seen_at
    assert crm.sample is not None
    assert await warnings.count_warnings(world.db, world.scope) == 3


@pytest.mark.parametrize("backward", [False, True])
async def test_warnings_are_paged_in_both_directions(world, raised, backward, statements):
    place = {"before" if backward else "after": (raised[1].first_seen_at, raised[1].warning_id)}
    with statements() as names:
        page = await warnings.list_warnings(world.db, world.scope, Window(1, backward, **place))
    assert len(names) == 1
    assert page.items == (raised[:1] if backward else raised[2:])
    assert (page.has_previous, page.has_next) == ((False, True) if backward else (True, False))
    end = await warnings.list_warnings(world.db, world.scope, Window(2, backward))
    assert end.items == (raised[1:] if backward else raised[:2])
    with pytest.raises(BadCursor):
        await warnings.list_warnings(world.db, world.scope, Window(after=("x", "y")))


async def test_warnings_are_read_in_the_order_asked_for(world, raised):
    asked = [raised[2].warning_id, uuid4(), raised[0].warning_id]
    assert await warnings.read_warnings(world.db, world.scope, asked) == [raised[2], None, raised[0]]


async def test_other_sandboxes_and_callers_without_profile_read_see_no_warnings(world, raised):
    dev = await sandboxes.create_sandbox(world.db, world.scope, "dev", None, SandboxType.DEVELOPMENT)
    there = replace(world.scope, sandbox=dev)
    assert (await warnings.list_warnings(world.db, there, Window())).items == []
    assert await warnings.read_warnings(world.db, there, [raised[0].warning_id]) == [None]
    assert await warnings.count_warnings(world.db, there) == 0
    loader = replace(world.scope, permissions=frozenset({Permission.PROFILE_WRITE, Permission.CONFIG_WRITE}))
    for verb in (
        warnings.list_warnings(world.db, loader, Window()),
        warnings.read_warnings(world.db, loader, []),
        warnings.count_warnings(world.db, loader),
    ):
        with pytest.raises(Forbidden):
            await verb
