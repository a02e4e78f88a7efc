"""The journal: what a transaction says that it did to people."""

from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from world import World

from gateway.domain.config import sandboxes
from gateway.domain.views.effects import ChangeKind, Effects, PersonChange
from gateway.domain.views.journal import XIDS_PER_ROW, write_changes
from gateway.storage.database import Database
from gateway.storage.queries import Query

ROWS = Query(
    "test.rows", "select * from gateway.change where sandbox_id = $1 order by seq, place", (), (), "rows", "x."
)
AT = datetime(2026, 1, 1, tzinfo=UTC)
A, B, C, D = (UUID(int=n) for n in range(1, 5))


async def written(db: Database, world: World, effects: Effects, seq: int = 1) -> list:
    async with db.transaction() as tx:
        await write_changes(tx, world.scope, seq, AT, effects)
    return await db.rows(ROWS, world.scope.sandbox_id)


@pytest.fixture
async def world(db):
    return await World.create(db)


async def test_each_person_has_a_row_and_events_of_all_others_have_one_without_a_person(db, world):
    effects = Effects(event_xids={C, D})
    paths = (("person", "name"), ("workEmail",))
    effects.people[A] = PersonChange(ChangeKind.MERGED, A, (A, B), (C,), paths)
    merged, events = await written(db, world, effects)
    assert (merged["kind"], merged["profile_id"], merged["xids"], merged["former_ids"]) == ("MERGED", A, [A, B], [C])
    assert orjson.loads(merged["paths"]) == [list(path) for path in paths]
    assert (events["kind"], events["profile_id"], events["xids"], events["paths"]) == ("EVENTS", None, [C, D], None)
    assert {row["at"] for row in (merged, events)} == {AT}


async def test_many_identities_with_events_are_several_rows(db, world):
    xids = {UUID(int=n) for n in range(2 * XIDS_PER_ROW + 1)}
    rows = await written(db, world, Effects(event_xids=xids))
    assert [len(row["xids"]) for row in rows] == [XIDS_PER_ROW, XIDS_PER_ROW, 1]
    assert {xid for row in rows for xid in row["xids"]} == xids


async def test_nothing_is_written_where_nothing_changed(db, world):
    assert await written(db, world, Effects()) == []


async def test_a_reset_begins_a_new_journal(db, world):
    before = await db.value(SINCE, world.scope.sandbox_id)
    assert len(await written(db, world, Effects(event_xids={A}))) == 1
    await sandboxes.reset_sandbox(db, world.scope, world.scope.sandbox_id, world.scope.sandbox.name)
    assert await db.rows(ROWS, world.scope.sandbox_id) == []
    assert await db.value(SINCE, world.scope.sandbox_id) > before


SINCE = Query("test.since", "select journal_since from gateway.sandbox where sandbox_id = $1", (), (), "value", "x.")
