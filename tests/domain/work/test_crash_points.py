"""Wherever a job commits, its worker may be killed right after: another one ends it as if nothing had happened.

Each kind of job has its commit points listed in `every_kind`, by the last statement before the commit. A kind that is not listed fails,
and so does a commit at a new place.
"""

from datetime import UTC, datetime, timedelta

import pytest
from citus import CLUSTER_URL
from every_kind import (
    COMMIT_POINTS,
    HANDLERS,
    contents,
    copies,
    differences,
    in_half_a_year,
    patterns,
    small_pieces,
    worked,
)

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.operations.verification import verify
from gateway.storage.database import Database


@pytest.fixture(scope="module")
async def waiting(module_dsn):
    """The sandboxes in which a job of each kind waits, in the database of all tests here."""
    db = await Database.connect(module_dsn, size=2)
    with small_pieces():
        yield await patterns(db)
    await db.close()


@pytest.fixture
def dsn(module_dsn):
    return module_dsn


@pytest.mark.parametrize("kind", HANDLERS)
async def test_a_job_whose_worker_is_killed_after_any_commit_ends_as_if_it_had_not_been(kind, waiting, db, later):
    passed = in_half_a_year() - datetime.now(UTC)
    then, after = await later(passed), await later(passed + timedelta(minutes=30))
    (unharmed,) = await copies(db, waiting[kind], 1)
    committed = await worked(then, [kind])
    # On a cluster some go another way: events are not removed beside writers, and snapshots end at their nodes.
    if not CLUSTER_URL:
        assert {point for points in committed.values() for point in points} == COMMIT_POINTS[kind]
    places = [(job, number) for (_, job), points in committed.items() for number in range(1, len(points) + 1)]
    killed = await copies(db, waiting[kind], len(places))
    await worked(then, [kind], {(one, job): number for one, (job, number) in zip(killed, places, strict=True)})
    await worked(after, [kind])
    found = await contents(db, [unharmed, *killed])
    for one, (job, number) in zip(killed, places, strict=True):
        point = committed[unharmed, job][number - 1]
        assert differences(found[one], found[unharmed]) == [], f"killed after {point}"
        assert await verify(db, await read_own_scope(db, one), Configurations()) == []
