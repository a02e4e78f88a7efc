"""Rows that are packed for COPY here are those that were meant."""

from datetime import UTC, datetime, timedelta
from struct import Struct
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from gateway.storage import copy_rows
from gateway.storage.database import Session
from gateway.storage.queries import Query

TIMES = (
    datetime(1000, 1, 1, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(2026, 2, 28, 12, 0, 0, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
)
COLUMNS = ("at", "xids", "name")
READ = Query("test.read", "select at, xids, name from gateway.packed order by at", (), (), "rows", "For this test.")
CREATE = Query(
    "test.create", "create table gateway.packed (at timestamptz, xids uuid[], name text)", (), (), "none", "x."
)


async def test_packed_rows_are_read_back_as_they_were(db):
    xids = [[UUID(int=number) for number in range(1, size + 1)] for size in (0, 1, 2, 20, 50)]
    names = ["", "ä", None, '["a"]', "x" * 300]
    front, packed = Struct("!hiq"), bytearray(copy_rows.BEGIN)
    for at, some, name in zip(TIMES, xids, names, strict=True):
        packed += front.pack(3, copy_rows.EIGHT, copy_rows.instant(at)) + copy_rows.uuids(some)
        packed += copy_rows.NULL if name is None else copy_rows.text(name.encode())
    async with db.trial() as tx:
        await tx.execute(CREATE)
        await tx.copy_packed("packed", COLUMNS, packed + copy_rows.END)
        rows = await tx.rows(READ)
    assert [tuple(row) for row in rows] == list(zip(TIMES, xids, names, strict=True))


async def test_copying_no_rows_runs_no_statement():
    """To append nothing runs no statement, and needs no connection."""
    await Session(None).copy("event", ("xid",), [])


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_is_exact_to_the_microsecond(at):
    assert datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=copy_rows.instant(at)) == at
