"""The audit log: an entry is committed with its change, names its actor, and holds no secret."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import orjson
import pytest

from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.storage.queries import Query

ENTRIES = Query(
    "test.audit",
    "select * from gateway.audit_entry where organization_id = $1 and action <> 'createOrganization' order by entry_id",
    ("id",),
    (),
    "rows",
    "For tests.",
)


@dataclass
class Lock:
    """Something with a secret."""

    lock_id: UUID
    opens_at: datetime
    doors: frozenset[int]
    combination: bytes = field(repr=False)


async def entries(db, scope):
    return await db.rows(ENTRIES, scope.organization.organization_id)


async def test_an_entry_tells_who_did_what_to_what(db, scope):
    key_id, subject_id = uuid4(), uuid4()
    caller = replace(scope, actor="ann", api_key_id=key_id)
    before = Lock(subject_id, datetime(2026, 1, 2, tzinfo=UTC), frozenset({2, 1}), b"1234")
    async with db.transaction() as tx:
        await audit.record(tx, caller, "openLock", Subject("Lock", (7, subject_id)), before=before)
    (row,) = await entries(db, scope)
    assert (row["actor"], row["api_key_id"], row["action"]) == ("ann", key_id, "openLock")
    assert (row["sandbox_id"], row["subject_type"], row["subject_key"]) == (
        scope.sandbox_id,
        "Lock",
        ["7", str(subject_id)],
    )
    assert (row["after"], row["correlation_id"]) == (None, None)
    assert orjson.loads(row["before"]) == {
        "lockId": str(subject_id),
        "opensAt": "2026-01-02T00:00:00+00:00",
        "doors": [1, 2],
    }


async def test_an_entry_goes_with_a_change_that_is_undone(db, scope):
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            await audit.record(tx, scope, "openLock", Subject("Lock"), after={})
            raise ZeroDivisionError
    assert await entries(db, scope) == []


async def test_an_entry_belongs_to_the_sandbox_that_it_is_about_or_to_none(db, scope):
    async with db.transaction() as tx:
        for subject in (Subject("Sandbox", (99,)), Subject("ApiKey", (uuid4(),)), Subject("Dataset", (uuid4(),))):
            await audit.record(tx, scope, "change", subject)
        await audit.record(tx, replace(scope, sandboxes=frozenset({"prod"})), "change", Subject("ApiKey", (uuid4(),)))
    found = [row["sandbox_id"] for row in await entries(db, scope)]
    assert found == [99, None, scope.sandbox_id, scope.sandbox_id]  # who works in one sandbox finds it there
