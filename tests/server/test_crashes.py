"""A server and Postgres that are killed between any two commits of every kind of job: a server that is started again ends each job.

Jobs of every kind stop at every place where they commit, all in one server process. When Postgres is killed, some stand in the middle of a
transaction, and meet its end; others are between two when the server is killed. Jobs that make indexes stop first: Postgres lets that wait
until the transactions of others that wrote to the same table have ended.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from data_directories import initialize
from every_kind import (
    HANDLERS,
    OF_INDEXES,
    contents,
    copies,
    differences,
    in_half_a_year,
    patterns,
    small_pieces,
    statement,
    worked,
)
from places import reachable_directory
from program import environment, server

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.operations.verification import verify
from gateway.domain.work.job_kinds import JobKind
from gateway.postgres.cluster import Cluster
from gateway.storage.database import Database
from gateway.storage.migrations import migrate

HELD_PROGRAM = [sys.executable, str(Path(__file__).parents[1] / "held_program.py")]
COMMITTED_IS_KEPT = {"fsync": "off", "max_connections": "300"}
"""By a server that is killed, if not in a power cut."""

PUT_OFF_OTHERS = statement("""
    update gateway.job set due_at = $3
     where sandbox_id = any($1::bigint[]) and sandbox_id || '/' || job_id <> all($2::text[])""")
PUT_OFF_RECURRING = statement("""
    update gateway.job set due_at = $3
     where sandbox_id = any($1::bigint[]) and sandbox_id || '/' || job_id <> all($2::text[]) and every is not null""")
"""Of those that come again, as some do by the time when another server goes on, the ones that are not to stop."""
MAKE_DUE = statement("update gateway.job set due_at = created_at where sandbox_id || '/' || job_id = any($1::text[])")
LEAVE_INDEX = "create index search_{}_0 on gateway.profile (modified_at)"
"""In no list, so that it is to be dropped."""
LIST_INDEXES = statement("""
    select split_part(relname, '_', 2)::bigint as sandbox_id, indisvalid
      from pg_index join pg_class on pg_class.oid = indexrelid
     where relname ~ '^search_[0-9]'""")
ARE_DUE = statement("""
    select from gateway.job
     where sandbox_id = any($1::bigint[]) and (status = 'PROCESSING' or status = 'NEW' and due_at <= $2) limit 1""")


@pytest.fixture(scope="module")
async def cluster():
    with reachable_directory() as path:
        initialize(path / "data")
        async with Cluster(path / "data", settings=COMMITTED_IS_KEPT) as started:
            await migrate(started.dsn())
            yield started


@contextmanager
def held_server(data_dir, stops):
    """Start a server whose jobs stop as `stops` says; yield it, and what it tells of them."""
    told, tells = os.pipe()
    env = environment(HOLD_AT=json.dumps(stops), HOLD_TELLS=f"{tells}", GATEWAY_DATABASE_CONNECTIONS="200")
    options = {"program": HELD_PROGRAM, "env": env, "pass_fds": [tells], "stdin": subprocess.PIPE}
    with os.fdopen(told) as lines, server(data_dir, **options) as started:
        os.close(tells)
        yield started, map(str.split, lines)


def await_all(word, names, told):
    """Wait until this has been told of each of these jobs, and nothing else before."""
    waiting = set(names)
    while waiting:
        said, name = next(told)
        assert said == word or name not in waiting, f"{name} was {said}, not {word}"
        waiting.discard(name)


def kill_postgres(data_dir):
    postmaster = int((data_dir / "postgres/postmaster.pid").read_text().splitlines()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    for process in (postmaster, *map(int, children)):
        os.kill(process, signal.SIGKILL)


async def stopping(db, pattern, job, points):
    """Copy a sandbox for each place where its job is to stop: before and after the first commit at each point, but not before its claim."""
    numbers = sorted({points.index(point) + 1 for point in points})
    stops = [*((number, "before") for number in numbers[1:]), *((number, "after") for number in numbers)]
    return {f"{one}/{job}": stop for one, stop in zip(await copies(db, pattern, len(stops)), stops, strict=True)}


async def test_jobs_end_as_if_nothing_had_been_when_server_and_postgres_are_killed_at_any_commit(cluster):
    async def connect(moment):
        """Open a pool of connections on which it is that time, as on all connections that are opened from then on."""
        await db.rows(statement(f"alter database gateway set gateway.now = '{moment.isoformat()}'"))
        return await Database.connect(cluster.dsn(), size=2)

    db = await Database.connect(cluster.dsn(), size=2)
    moment = in_half_a_year()
    with small_pieces():
        made = await patterns(db)
        unharmed = {(await copies(db, made[kind], 1))[0]: kind for kind in HANDLERS}
        then = await connect(moment)
        committed = await worked(then, list(HANDLERS))
    stops, twins, first = {}, {}, set()
    for (one, job), points in committed.items():
        of_job = await stopping(db, made[unharmed[one]], job, points)
        stops |= of_job
        twins |= dict.fromkeys((sandbox_of(name) for name in of_job), one)
        if unharmed[one] in OF_INDEXES:
            first |= of_job.keys()
    kinds = {twin: unharmed[one] for twin, one in twins.items()}
    for twin in (twin for twin, kind in kinds.items() if kind is JobKind.EXPIRE_SEARCH_INDEXES):
        await db.rows(statement(LEAVE_INDEX.format(twin)))
    later = moment + timedelta(minutes=30)
    await db.rows(PUT_OFF_OTHERS, list(twins), list(first), later)
    with held_server(cluster.data_dir, stops) as (started, told):
        await_all("held", first, told)
        await db.rows(MAKE_DUE, list(stops.keys() - first))
        await_all("held", stops.keys() - first, told)
        kill_postgres(cluster.data_dir)
        started.process.stdin.close()
        await_all("left", (name for name, (_, when) in stops.items() if when == "before"), told)
        assert started.end(signal.SIGKILL) == -signal.SIGKILL
    await cluster.start()
    after = await connect(later)
    await after.rows(PUT_OFF_RECURRING, list(twins), list(stops), later + timedelta(days=1))
    with held_server(cluster.data_dir, {}) as (started, told):
        while await db.rows(ARE_DUE, list(twins), later):
            next(told)
        assert started.end() == 0
    found = await contents(db, [*unharmed, *twins])
    for name, stop in stops.items():
        one = sandbox_of(name)
        assert differences(found[one], found[twins[one]]) == [], stop
        assert await verify(db, await read_own_scope(db, one), Configurations()) == []
    built = [one for one, kind in (unharmed | kinds).items() if kind is JobKind.BUILD_SEARCH_INDEX]
    assert Counter(await db.rows(LIST_INDEXES)) == {(one, True): 1 for one in built}
    for each in (db, then, after):
        await each.close()


def sandbox_of(name):
    return int(name.partition("/")[0])
