"""Upkeep of partials: a recurring job removes those of buckets that lie before every window, and those that no attribute has any more.

First it sees to it that attributes get partials that have none although they could.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.domain.config.computed_attributes import AttributeStatus, load_attributes, with_partials
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.reading.conditions import read_instant
from gateway.domain.rules.buckets import ALL_TIMES
from gateway.domain.rules.durations import EARLIEST
from gateway.domain.rules.scope import Scope
from gateway.domain.views.computed_partials import reach
from gateway.domain.views.transactions import shared_transaction
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

GIVE = query("computed_attributes.give_partials")
EXPIRE = query("computed_partials.expire_partials")

PARTIALS_PER_PIECE = 10_000
"""At how many partials one piece looks."""


async def expire_computed_partials(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Have the past read for attributes without partials, and remove partials that nothing reads any more: a job, in pieces."""
    if db.is_distributed:  # no attribute has partials
        return
    config = await configurations.read(db, scope)
    if lacking := config.attributes_without_partials:
        async with db.transaction(scope.sandbox_id) as tx:
            await _give_partials(tx, scope, lacking)
            await leases.advance(tx, job, job.cursor, done=job.done)
    while await _expire_some(db, scope, configurations, job):
        pass


async def _give_partials(tx: Session, scope: Scope, lacking: Collection[UUID]) -> None:
    """Have jobs read the events of the past for attributes without partials, as if they were published now. Their values stay."""
    await lock_configuration(tx, scope)
    attributes = {each.attribute_id: each for each in await load_attributes(tx, scope, {})}
    for key in lacking:
        found = attributes.get(key)
        if found is not None and found.status is AttributeStatus.PROCESSED and found.slot is None:
            stands = await with_partials(tx, scope, key, attributes.values())
            await tx.execute(GIVE, scope.sandbox_id, key, *stands)
            attributes[key] = replace(found, slot=stands.slot)


async def _expire_some(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> bool:
    """Look at some partials. Return whether there were some."""
    async with shared_transaction(db, scope, configurations) as (tx, config):
        xid, seconds, bucket = job.cursor or (str(NIL), ALL_TIMES, EARLIEST.isoformat())
        after = UUID(xid), seconds, datetime.fromisoformat(bucket)
        sizes = reach(config.partials, await read_instant(tx))
        last: Any = await tx.row(EXPIRE, scope.sandbox_id, *after, PARTIALS_PER_PIECE, *sizes)
        if last is None:
            return False
        cursor = str(last["xid"]), last["bucket_seconds"], last["bucket"].isoformat()
        await leases.advance(tx, job, cursor, done=job.done + last["gone"], records=last["gone"])
        return True
