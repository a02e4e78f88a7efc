"""Identities: which are known, which have data of their own, and when they were seen."""

from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest
from citus import needs_cluster
from world import event, record

from gateway.domain.reading import identities
from gateway.domain.rules.scope import Permission
from gateway.domain.rules.versions import Mode
from gateway.errors import BadInput, Forbidden
from gateway.storage.database import Session

ANA, PHONE, BEN, NOBODY = ("Email", "ana@x.io"), ("Phone", "+49"), ("Email", "ben@x.io"), ("Email", "nobody@x.io")


async def xids(world, *names):
    return [await world.xid(*name) for name in names]


async def test_an_xid_needs_a_namespace_that_the_sandbox_has(world):
    config = await world.config()
    xid = identities.resolve_xid(world.scope, config, "Email", " Ana@X.io")
    assert xid == await world.xid(*ANA)
    for code in ("email", "Loyalty", ""):
        with pytest.raises(BadInput, match="namespace"):
            identities.resolve_xid(world.scope, config, code, "1")


async def test_an_identity_is_known_from_its_own_data_or_from_others_rows(world):
    await world.records(record(ANA, PHONE))
    ana, nobody, phone, again = await identities.read_identities(
        world.db, world.scope, await xids(world, ANA, NOBODY, PHONE, ANA)
    )
    assert nobody is None
    assert ana == again
    assert (ana.value, phone.value, ana.profile_id) == ("ana@x.io", "+49", phone.profile_id)
    assert not ana.is_erased


@needs_cluster
async def test_a_cluster_plans_the_read_of_one_identity_by_its_fast_path(world, dsn):
    await world.records(record(ANA, PHONE))
    connection, told = await asyncpg.connect(dsn, server_settings={"client_min_messages": "debug2"}), []
    connection.add_log_listener(lambda _, message: told.append(message.message))
    session = Session(connection, is_distributed=True)
    for names in ([ANA], [ANA, PHONE]):
        told.clear()
        assert None not in await identities.read_identities(session, world.scope, await xids(world, *names))
        assert any("fast-path" in message for message in told) is (len(names) == 1)
    await connection.close()


async def test_an_identity_with_a_live_record_or_an_event_is_primary(world):
    await world.records(record(ANA, PHONE))
    await world.events(event("e", "2026-01-01T00:00:00Z", BEN, PHONE))
    asked = await xids(world, ANA, PHONE, BEN, NOBODY)
    assert await identities.read_primaries(world.db, world.scope, asked) == [True, False, True, False]
    await world.records(record(ANA), mode=Mode.DELETE)
    assert await identities.read_primaries(world.db, world.scope, asked) == [False, False, True, False]


async def test_sightings_are_the_first_and_last_times_of_facts(world):
    source = {"extSourceSystemAudit": {"lastUpdatedDate": "2020-02-02T00:00:00.000Z"}}
    await world.records(record(ANA, PHONE, **source))
    await world.events(*(event(f"{n}", f"2021-0{n}-01T00:00:00.000Z", BEN) for n in (3, 1, 2)))
    ana, phone, ben, nobody = await identities.read_sightings(
        world.db, world.scope, await xids(world, ANA, PHONE, BEN, NOBODY)
    )
    updated = datetime(2020, 2, 2, tzinfo=UTC)
    assert (ana.first_at, ana.last_at) == (phone.first_at, phone.last_at) == (updated, updated)
    assert (ben.first_at, ben.last_at) == (datetime(2021, 1, 1, tzinfo=UTC), datetime(2021, 3, 1, tzinfo=UTC))
    assert nobody is None


async def test_sightings_leave_out_deleted_facts(world):
    def said(hour, *names):
        return record(*names, extSourceSystemAudit={"lastUpdatedDate": f"2020-02-02T0{hour}:00:00.000Z"})

    async def hours_of(*names):
        found = await identities.read_sightings(world.db, world.scope, await xids(world, *names))
        return [(sighting.first_at.hour, sighting.last_at.hour) for sighting in found]

    await world.records(said(2, PHONE), said(3, BEN, PHONE))
    await world.records(said(1, ANA, PHONE), said(7, BEN), dataset=world.loyalty)
    assert await hours_of(ANA, PHONE, BEN) == [(1, 1), (1, 3), (3, 7)]
    await world.records(record(BEN), mode=Mode.DELETE)
    await world.records(record(ANA), mode=Mode.DELETE, dataset=world.loyalty)
    assert await hours_of(PHONE, BEN) == [(2, 2), (7, 7)]
    (ana,) = await identities.read_sightings(world.db, world.scope, await xids(world, ANA))
    assert ana.first_at.hour == 1  # of an identity that only deleted data named, that is told


async def test_profile_read_is_needed(world):
    writer = replace(world.scope, permissions=frozenset({Permission.PROFILE_WRITE}))
    for verb in (identities.read_identities, identities.read_primaries, identities.read_sightings):
        with pytest.raises(Forbidden):
            await verb(world.db, writer, [])
