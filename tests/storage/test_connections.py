"""What connections of a process share, and what each of them finds out for itself."""

import asyncio

import pytest

from gateway.storage.connections import TypeSharing, open_first

NUMBERS = "select $1::bigint[]"


@pytest.fixture(params=[500, 0], ids=["postgres", "pooler"])
async def opened(request, dsn, monkeypatch):
    """Two connections of a process that has not asked any server about types."""
    monkeypatch.setattr(TypeSharing, "_known", {})
    first, connect = await open_first(dsn, seconds=30, cache_size=request.param)
    second = await connect()
    yield first, second
    await first.close()
    await second.close()


async def _sent(connection, sql, *args):
    """Return the result of a statement, and all statements that it took."""
    sent = []
    with connection.query_logger(lambda record: sent.append(record.query)):
        value = await connection.fetchval(sql, *args)
        await asyncio.sleep(0)  # the driver tells in the next turn of the loop
        return value, sent


async def test_one_connection_asks_about_the_types_of_postgres_for_all(opened):
    first, second = opened
    value, sent = await _sent(first, NUMBERS, [1, 2])
    assert value == [1, 2]
    assert len(sent) > 1  # the driver asked
    assert await _sent(second, NUMBERS, [3, None]) == ([3, None], [NUMBERS])
    assert await _sent(second, NUMBERS, [4]) == ([4], [NUMBERS])


async def test_types_that_may_be_made_anew_are_asked_about_by_each(opened):
    first, second = opened
    await first.execute("create type gateway.pair as (a integer, b text)")
    assert await first.fetchval("select row(1, 'x')::gateway.pair") == (1, "x")
    await first.execute("drop type gateway.pair; create type gateway.pair as (b text, a integer)")
    assert await second.fetchval("select row('x', 1)::gateway.pair") == ("x", 1)
    assert not TypeSharing._known
