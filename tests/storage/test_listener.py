"""Notifications: sent after a commit, heard by all waiters, and harmless when they are lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import asyncpg
import pytest
from pooler import pooler

from gateway.errors import Unavailable
from gateway.storage import listener
from gateway.storage.database import Database
from gateway.storage.listener import Waiter
from gateway.storage.notifications import Channel, Notifications
from gateway.telemetry import ListenerChanged, StatementRan, listen

LONG_SECONDS = 60.0  # a wait that only a notification ends in time
LISTENERS = f"select pid from pg_stat_activity where datname = current_database() and query in ('select', 'LISTEN \"{list(Channel)[-1]}\"')"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MIN_PAUSE_SECONDS", 0.001)


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[Database]:
    """Another process, as far as Postgres can tell."""
    database = await Database.connect(dsn, size=2)
    yield database
    await database.close()


@contextmanager
def observed(kind: type) -> Iterator[list]:
    seen: list = []
    end = listen(lambda one: seen.append(one) if isinstance(one, kind) else None)
    yield seen
    end()


async def woken(waiter: Waiter) -> None:
    async with asyncio.timeout(LONG_SECONDS / 2):
        await waiter.wait(LONG_SECONDS)


async def test_a_commit_wakes_the_waiters_on_its_channel_in_every_process(db, other):
    with db.waiter(Channel.CHANGES) as here, other.waiter(Channel.CHANGES) as there, other.waiter(Channel.JOBS) as jobs:
        for waiter in (here, there, jobs):
            await woken(waiter)  # as the connection has begun to listen
        async with db.transaction() as tx:
            tx.notify(Channel.CHANGES)
        await woken(here)
        await woken(there)
        assert not jobs._is_notified.is_set()


async def test_nothing_is_sent_of_a_transaction_that_is_rolled_back(db, other):
    with db.waiter(Channel.CHANGES) as waiter, observed(StatementRan) as ran:
        await woken(waiter)
        with pytest.raises(ZeroDivisionError):
            async with db.transaction() as tx:
                tx.notify(Channel.CHANGES)
                raise ZeroDivisionError
        async with db.trial() as tx:
            tx.notify(Channel.CHANGES)
        await db._notifications.close()
        assert "maintenance.notify" not in [one.name for one in ran]


async def test_a_burst_of_commits_is_notified_twice_at_once_and_at_its_end(db):
    sent: list[set[Channel]] = []
    first = asyncio.Event()

    async def send(channels):
        sent.append(set(channels))
        first.set()

    burst = Notifications(send)
    burst.add({Channel.JOBS})
    await first.wait()
    for _ in range(1000):
        burst.add({Channel.CHANGES})
    burst.add({Channel.JOBS})
    await burst.close()
    assert sent == [{Channel.JOBS}, {Channel.CHANGES, Channel.JOBS}]


async def test_a_notification_that_cannot_be_sent_stops_no_later_one():
    sent = 0

    async def send(_):
        nonlocal sent
        sent += 1
        if sent == 1:
            raise Unavailable

    failing = Notifications(send)
    for _ in range(2):
        failing.add({Channel.JOBS})
        await failing.close()
    assert sent == 2


async def test_closing_sends_what_is_due(dsn, other):
    brief = await Database.connect(dsn, size=1)
    with other.waiter(Channel.JOBS) as waiter:
        await woken(waiter)
        async with brief.transaction() as tx:
            tx.notify(Channel.JOBS)
        await brief.close()
        await woken(waiter)


async def test_a_notification_between_two_waits_ends_the_next_one(db):
    with db.waiter(Channel.JOBS) as waiter:
        waiter.wake()
        await woken(waiter)
        await waiter.wait(0)  # nothing came since: it is the time that ends this


async def test_a_lost_connection_is_opened_again_and_everybody_is_woken(db, dsn):
    with db.waiter(Channel.JOBS) as waiter, observed(ListenerChanged) as seen:
        await woken(waiter)
        await terminated(dsn)
        await woken(waiter)  # as something may have been missed
        async with db.transaction() as tx:
            tx.notify(Channel.JOBS)
        await woken(waiter)
    assert [one.state for one in seen] == ["lost", "recovered"]


async def terminated(dsn: str) -> None:
    """End the connection that listens, as a network or an administrator may."""
    connection = await asyncpg.connect(dsn)
    assert len(await connection.fetch(f"select pg_terminate_backend(pid) from ({LISTENERS}) as listening")) == 1
    await connection.close()


async def test_a_server_that_cannot_be_reached_is_observed_once_and_waits_end_by_time(dsn):
    database = await Database.connect(dsn, size=1, listen_dsn="postgresql://127.0.0.1:1/none")
    attempts = 0
    connect = database._listener._connect
    several = asyncio.Event()

    async def counted():
        nonlocal attempts
        attempts += 1
        if attempts == 3:
            several.set()
        return await connect()

    database._listener._connect = counted
    with database.waiter(Channel.JOBS) as waiter, observed(ListenerChanged) as seen:
        await waiter.wait(0.001)
        await several.wait()
    assert [one.state for one in seen] == ["lost"]
    assert "does not answer" in seen[0].reason
    await database.close()


async def test_behind_a_pooler_notifications_come_from_postgres_itself(dsn, monkeypatch):
    with pooler(dsn) as address:
        database = await Database.connect(address, size=2, listen_dsn=dsn)
        with database.waiter(Channel.CHANGES) as waiter:
            await woken(waiter)
            async with database.transaction() as tx:
                tx.notify(Channel.CHANGES)
            await woken(waiter)
        await database.close()
