"""Errors of Postgres and the driver are translated, whenever they happen: nothing above this package sees the driver's."""

import asyncio
import threading
from uuid import uuid4

import asyncpg
import pytest

from gateway.errors import (
    ConstraintViolated,
    Contended,
    NotFound,
    StatementFailed,
    Taken,
    Timeout,
    Unavailable,
    Unstorable,
)
from gateway.storage.database import Database
from gateway.storage.faults import of_a_copy, translated
from gateway.storage.queries import Query, query

CREATE = query("tenants.create_organization")


def statement(sql, shape="value"):
    return Query("test.statement", sql, (), (), shape, "For tests.")


PROCESS, SLEEP = statement("select pg_backend_pid()"), statement("select pg_sleep(60)")


@pytest.fixture
async def single(dsn):
    """A pool of one connection, so that the next statement runs on the one that was killed, or on its successor."""
    database = await Database.connect(dsn, size=1)
    yield database
    await database.close()


@pytest.fixture
def kill(dsn):
    """Ends a server process, and returns when it is gone; our event loop stands still meanwhile, and so has not noticed."""

    async def end(process):
        connection = await asyncpg.connect(dsn)
        await connection.execute("select pg_terminate_backend($1::integer, 30000::bigint)", process)
        await connection.close()

    def killed(process):
        thread = threading.Thread(target=lambda: asyncio.run(end(process)))
        thread.start()
        thread.join()

    return killed


async def noticed():
    """Let the event loop read what the server sent last."""
    for _ in range(10):
        await asyncio.sleep(0)


async def in_a_statement(db, kill):
    async with db.transaction() as tx:
        process = await tx.value(PROCESS)
        killing = asyncio.create_task(asyncio.to_thread(kill, process))
        try:
            await tx.value(SLEEP)
        finally:
            await killing


async def between_statements(db, kill):
    async with db.transaction() as tx:
        kill(await tx.value(PROCESS))
        await tx.value(PROCESS)


async def between_statements_noticed(db, kill):
    async with db.transaction() as tx:
        kill(await tx.value(PROCESS))
        await noticed()
        await tx.value(PROCESS)


async def at_commit(db, kill):
    async with db.transaction() as tx:
        await tx.execute(CREATE, uuid4(), "acme", "Acme")
        kill(await tx.value(PROCESS))


async def at_commit_noticed(db, kill):
    async with db.transaction() as tx:
        kill(await tx.value(PROCESS))
        await noticed()


async def in_a_savepoint(db, kill):
    async with db.transaction() as tx, tx.savepoint():
        kill(await tx.value(PROCESS))
        await tx.value(PROCESS)


async def at_the_end_of_a_savepoint(db, kill):
    async with db.transaction() as tx, tx.savepoint():
        kill(await tx.value(PROCESS))


async def before_a_savepoint(db, kill):
    async with db.transaction() as tx:
        kill(await tx.value(PROCESS))
        await noticed()
        async with tx.savepoint():
            pass


async def in_a_copy(db, kill):
    async with db.transaction() as tx:
        process = await tx.value(PROCESS)

        def rows():
            for n in range(100_000):
                if n == 50_000:
                    kill(process)
                yield (f"m{n}",)

        await tx.copy("migration", ["name"], rows())


async def in_a_snapshot(db, kill):
    async with db.snapshot() as tx:
        kill(await tx.value(PROCESS))
        await tx.value(PROCESS)


async def in_a_trial(db, kill):
    async with db.trial() as tx:
        kill(await tx.value(PROCESS))


async def of_many_rows(db, kill):
    many = Query(
        "test.many",
        "update gateway.migration set name = v.n from (values {rows}) as v (n) where name = v.n",
        (),
        ("n text",),
        "none",
        "",
    )
    async with db.transaction() as tx:
        kill(await tx.value(PROCESS))
        await tx.update_rows(many, rows=[("a",)])


MOMENTS = [
    *(in_a_statement, between_statements, between_statements_noticed, at_commit, at_commit_noticed, in_a_savepoint),
    *(at_the_end_of_a_savepoint, before_a_savepoint, in_a_copy, in_a_snapshot, in_a_trial, of_many_rows),
]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
async def test_a_lost_connection_is_unavailable_and_the_next_one_works(single, kill, moment):
    with pytest.raises(Unavailable):
        await moment(single, kill)
    assert await single.value(PROCESS)


@pytest.mark.parametrize("is_noticed", [True, False])
async def test_a_connection_lost_while_idle_costs_at_most_one_attempt(single, kill, is_noticed):
    kill(await single.value(PROCESS))
    if is_noticed:
        await noticed()
    try:
        await single.value(PROCESS)
    except Unavailable:
        assert not is_noticed
    assert await single.value(PROCESS)


@pytest.mark.parametrize("is_noticed", [True, False])
async def test_cancelling_a_statement_on_a_lost_connection_raises_cancelled_or_unavailable(single, kill, is_noticed):
    with pytest.raises((NotFound, Unavailable)):
        async with single.transaction() as tx:
            kill(await tx.value(PROCESS))
            if is_noticed:
                await noticed()
            raise NotFound
    assert await single.value(PROCESS)


@pytest.mark.parametrize(
    ("sql", "kind", "state"),
    [
        ("select nothing", StatementFailed, "42703"),
        ("select 1/0", Unstorable, "22012"),
        ("select 'x'::integer", Unstorable, "22P02"),
        ("insert into gateway.migration values ('0001_baseline')", ConstraintViolated, "23505"),
        ("insert into gateway.migration values (null)", ConstraintViolated, "23502"),
    ],
)
async def test_a_refused_statement_names_its_condition_and_keeps_its_connection(single, sql, kind, state):
    process = await single.value(PROCESS)
    with pytest.raises(StatementFailed) as caught:
        await single.value(statement(sql))
    assert (type(caught.value), caught.value.sqlstate) == (kind, state)
    assert await single.value(PROCESS) == process


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        *(("53100", Unavailable), ("53200", Unavailable), ("58030", Unavailable), ("25006", Unavailable)),
        *(("40001", Contended), ("40P01", Contended), ("55P03", Contended), ("57014", Timeout)),
    ],
)
async def test_states_in_which_postgres_cannot_serve_now_are_retryable_errors(single, state, kind):
    """No room, no memory, a broken disk, a standby that took over, a conflict, a limit of time."""
    with pytest.raises(kind) as caught:
        await single.value(statement(f"do $$ begin raise exception 'no' using errcode = '{state}'; end $$"))
    assert type(caught.value) is kind


async def test_a_constraint_that_a_caller_can_violate_has_a_message(single):
    async with single.transaction() as tx:
        await tx.execute(CREATE, uuid4(), "acme", "Acme")
    with pytest.raises(Taken, match="organization with this code") as caught:
        async with single.transaction() as tx:
            await tx.execute(CREATE, uuid4(), "acme", "Acme")
    assert caught.value.path == ["code"]


async def test_no_error_message_quotes_a_message_of_postgres(single):
    """It may quote rows, and those hold personal data."""
    for sql in [
        "select 'ada@example.com'::uuid",
        'select "ada"',
        "insert into gateway.migration values ('ada'), ('ada')",
    ]:
        with pytest.raises(StatementFailed) as caught:
            await single.value(statement(sql))
        assert "ada" not in caught.value.message


def test_a_row_that_a_node_of_a_cluster_refuses_violates_a_constraint_and_one_that_goes_is_unavailable():
    refused = asyncpg.InternalServerError('duplicate key value violates unique constraint "event_pkey_102024"')
    assert isinstance(translated(refused, is_closed=False), ConstraintViolated)
    lost = asyncpg.InternalServerError("server closed the connection unexpectedly")
    assert isinstance(translated(lost, is_closed=False), Unavailable)
    assert type(translated(asyncpg.InternalServerError("cache lookup failed"), is_closed=False)) is StatementFailed


@pytest.mark.parametrize(
    ("message", "ours"),
    [
        ('new row for relation "event_102024" violates check constraint "told"', Unstorable),
        ("value out of range: overflow", Unstorable),
        ('duplicate key value violates unique constraint "event_pkey_102024"', ConstraintViolated),
        ("could not extend file: No space left on device", StatementFailed),
        ("server closed the connection unexpectedly", Unavailable),
    ],
)
def test_what_a_node_of_a_cluster_says_of_a_copied_row_is_taken_for_a_fault_of_the_row(message, ours):
    cause = asyncpg.InternalServerError(message)
    error = translated(cause, is_closed=False)
    error.__cause__ = cause
    assert type(of_a_copy(error)) is ours
