"""Ingestion warnings: counted per dataset and code, listed by filter and order until somebody acknowledges them."""

from dataclasses import replace
from uuid import uuid4

import pytest
from world import event, record

from gateway.domain.config import sandboxes
from gateway.domain.facts import warnings
from gateway.domain.facts.warnings import (
    EVERY_WARNING,
    WarningFilter,
    WarningOrder,
    WarningOrderField,
    WarningPage,
)
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission, SandboxType
from gateway.errors import BadCursor, Forbidden, NotFound
from gateway.xdm.violations import ViolationCode

FIRST_SEEN = WarningOrder(WarningOrderField.FIRST_SEEN_AT)
ANA, NOBODY = ("Email", "ana@x.io"), ("Phone", "0000")


async def listed(world, passing=EVERY_WARNING, order=FIRST_SEEN, **window):
    return await warnings.list_warnings(world.db, world.scope, WarningPage(Window(**window), passing, order))


@pytest.fixture
async def raised(world):
    """Cause one warning per dataset, and return them, latest first."""
    await world.records(record(ANA, NOBODY))
    await world.records(record(ANA, NOBODY), dataset=world.loyalty)
    await world.events(event("1", "2026-01-01T00:00:00Z", ANA, NOBODY))
    await world.records(record(ANA, NOBODY, first_name="Ana"))
    return (await listed(world)).items


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
        page = await listed(world, size=1, backward=backward, **place)
    assert len(names) == 1
    assert page.items == (raised[:1] if backward else raised[2:])
    assert (page.has_previous, page.has_next) == ((False, True) if backward else (True, False))
    end = await listed(world, size=2, backward=backward)
    assert end.items == (raised[1:] if backward else raised[:2])
    with pytest.raises(BadCursor):
        await listed(world, after=("x", "y"))


@pytest.mark.parametrize(
    "order", [WarningOrder(field, descending) for field in WarningOrderField for descending in (False, True)]
)
async def test_warnings_come_in_the_order_asked_for(world, raised, order):
    assert (await listed(world, order=order)).items == sorted(raised, key=order.key, reverse=order.descending)


async def test_a_filter_of_warnings_holds_in_lists_and_counts(world, raised):
    await world.events(event("1", "2026-01-01T00:00:00Z", ANA, eventType="other"))
    (differs,) = (await listed(world, WarningFilter(codes=(ViolationCode.EVENT_DIFFERS,)))).items
    crm = raised[-1]
    for passing, expected in (
        (WarningFilter(codes=()), []),
        (WarningFilter(codes=tuple(ViolationCode), dataset_id=world.shop.dataset_id), [differs, raised[0]]),
        (WarningFilter(dataset_id=uuid4()), []),
        (WarningFilter(seen_since=crm.last_seen_at), [differs, crm]),
        (WarningFilter((ViolationCode.IDENTITY_PLACEHOLDER,), crm.dataset_id, crm.last_seen_at), [crm]),
    ):
        assert (await listed(world, passing)).items == expected
        assert await warnings.count_warnings(world.db, world.scope, passing) == len(expected)


async def test_an_acknowledged_warning_is_gone_until_it_is_raised_again_and_counted_anew(world, raised):
    crm, others = raised[-1], raised[:-1]
    await warnings.acknowledge_warning(world.db, world.scope, crm.warning_id)
    assert (await listed(world)).items == others
    assert await warnings.read_warnings(world.db, world.scope, [crm.warning_id]) == [None]
    for unknown in (crm.warning_id, uuid4()):
        with pytest.raises(NotFound) as caught:
            await warnings.acknowledge_warning(world.db, world.scope, unknown)
        assert caught.value.path == ["id"]
    await world.records(record(ANA, NOBODY))
    again, *rest = (await listed(world)).items
    assert rest == others
    assert (again.warning_id, again.code, again.count) == (crm.warning_id, crm.code, 1)
    assert again.first_seen_at > crm.last_seen_at


async def test_warnings_are_read_in_the_order_asked_for(world, raised):
    asked = [raised[2].warning_id, uuid4(), raised[0].warning_id]
    assert await warnings.read_warnings(world.db, world.scope, asked) == [raised[2], None, raised[0]]


async def test_other_sandboxes_and_callers_without_profile_read_see_no_warnings(world, raised):
    dev = await sandboxes.create_sandbox(world.db, world.scope, "dev", None, SandboxType.DEVELOPMENT)
    there = replace(world.scope, sandbox=dev)
    assert (await warnings.list_warnings(world.db, there, WarningPage(Window()))).items == []
    assert await warnings.read_warnings(world.db, there, [raised[0].warning_id]) == [None]
    assert await warnings.count_warnings(world.db, there) == 0
    loader = replace(world.scope, permissions=frozenset({Permission.PROFILE_WRITE, Permission.CONFIG_WRITE}))
    for verb in (
        warnings.list_warnings(world.db, loader, WarningPage(Window())),
        warnings.read_warnings(world.db, loader, []),
        warnings.count_warnings(world.db, loader),
    ):
        with pytest.raises(Forbidden):
            await verb
    reader = replace(world.scope, permissions=frozenset({Permission.PROFILE_READ}))
    with pytest.raises(Forbidden):
        await warnings.acknowledge_warning(world.db, reader, raised[0].warning_id)
    with pytest.raises(NotFound):
        await warnings.acknowledge_warning(world.db, there, raised[0].warning_id)
