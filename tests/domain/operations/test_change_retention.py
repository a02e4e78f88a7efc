"""Retention of changes: old rows go, piece by piece, and cursors that needed them say so."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from world import World

from gateway.domain.operations import change_retention
from gateway.domain.operations.change_retention import expire_changes
from gateway.domain.reading.changes import ChangePage, list_changes
from gateway.domain.rules.changes import Position
from gateway.domain.rules.keyset import Window
from gateway.domain.views.effects import ChangeKind, Effects, PersonChange
from gateway.domain.views.journal import write_changes
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.errors import CursorExpired
from gateway.storage.queries import Query

DAYS = 7
BEGIN = Query("test.begin", "update gateway.sandbox set journal_since = $2 where sandbox_id = $1", (), (), "none", "x.")
MAKE_DUE = Query("test.due", "update gateway.job set due_at = now() where sandbox_id = $1", (), (), "none", "x.")


async def written(world: World, ages: list[timedelta]) -> None:
    """Write a row of each of two people for each age."""
    async with world.db.transaction() as tx:
        await tx.execute(BEGIN, world.scope.sandbox_id, datetime.now(UTC) - timedelta(days=30))
        for seq, age in enumerate(ages, 1):
            people = {xid: PersonChange(ChangeKind.UPDATED, xid, (xid,)) for xid in (uuid4(), UUID(int=seq))}
            await write_changes(tx, world.scope, seq, datetime.now(UTC) - age, Effects(people))


async def expired(world: World) -> int:
    """Run the job, and return how many rows it removed."""
    await jobs.schedule(world.db)
    async with world.db.transaction() as tx:
        await tx.execute(MAKE_DUE, world.scope.sandbox_id)
    job = await leases.claim(world.db, [JobKind.EXPIRE_CHANGES])
    assert job is not None
    await leases.carry_out(world.db, job, expire_changes(world.db, world.scope, world.configurations, job, days=DAYS))
    return job.done


async def read(world: World, after: Position | None = None, size: int = 100) -> ChangePage:
    window = Window(size, after=None if after is None else after.key)
    return await list_changes(world.db, world.scope, (await world.config()).default_policy, window)


async def test_old_rows_go_in_pieces_and_the_rest_stays(world, monkeypatch):
    monkeypatch.setattr(change_retention, "CHANGES_PER_PIECE", 3)
    old, young = timedelta(days=DAYS, hours=2), timedelta(days=DAYS - 1)
    await written(world, [old] * 5 + [young, old, young])
    assert await expired(world) == 10
    assert [each.version for each in (await read(world)).items] == [
        6,
        6,
        7,
        7,
        8,
        8,
    ]  # what is behind a kept row is kept
    assert await expired(world) == 0


async def test_a_cursor_expires_before_what_is_behind_it_goes(world):
    ages = [timedelta(days=DAYS, minutes=30), timedelta(days=DAYS - 1), timedelta(0)]
    await written(world, ages)
    first, _, third, *_ = (await read(world)).items
    assert await expired(world) == 0
    with pytest.raises(CursorExpired):
        await read(world, first.position)
    assert len((await read(world, third.position)).items) == 3
    everything = (await read(world)).items
    assert len(everything) == 6
    assert len((await read(world, everything[0].position)).items) == 5


async def test_days_that_were_less_before_bring_nothing_back(world, monkeypatch):
    await written(world, [timedelta(days=1)])
    position = (await read(world, size=1)).end
    for days in (0.5, 30):
        monkeypatch.setitem(globals(), "DAYS", days)
        await expired(world)
        with pytest.raises(CursorExpired):
            await read(world, position)
