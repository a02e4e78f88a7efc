"""Refreshing kept values: the recurring job that follows changes and windows for them, and drops those that no search reads any more; and their verification."""

from datetime import timedelta
from typing import Any, Final

from gateway.domain.config.computed_attributes import ComputedAttribute
from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.policies import MergePolicy
from gateway.domain.reading.attribute_results import comparable
from gateway.domain.reading.computed_attributes import values_of_events
from gateway.domain.reading.conditions import read_instant
from gateway.domain.reading.kept_values import (
    READ,
    Folded,
    Kept,
    fold,
    list_kept,
    list_people_after,
    read_people,
    stale_people,
)
from gateway.domain.reading.people import COUNT
from gateway.domain.reading.sliding_windows import read_next_changes
from gateway.domain.rules.scope import Scope
from gateway.domain.views.check import Check
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

DROP = query("kept_values.drop_values")
KEEP_NO_MORE = query("kept_values.keep_no_more")
LIST_VALUES = query("kept_values.list_values")

DROPPED_PER_PIECE: Final = 5_000
"""How many values one piece removes."""

VALUES_PER_READ: Final = 1_000
EVERYBODY: Final = 1_000_000
"""More people than are compared: those that changed since are looked for among all."""


async def refresh_kept_values(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, *, days: float
) -> None:
    """Bring all kept values of the sandbox up to date, and drop those that no search read for `days`, or that nobody computes any more: a job, in pieces."""
    config = await configurations.read(db, scope)
    for kept in await list_kept(db, scope):
        attribute, policy = _of(config, kept)
        is_used = await read_instant(db) - kept.used_at < timedelta(days=days)
        if attribute is None or policy is None or not is_used:
            await _drop(db, scope, job, kept)
            continue
        await _refresh(db, scope, config, job, policy=policy, attribute=attribute)


async def _refresh(
    db: Database,
    scope: Scope,
    config: Configuration,
    job: LeasedJob,
    *,
    policy: MergePolicy,
    attribute: ComputedAttribute,
) -> None:
    total = await db.value(COUNT, scope.sandbox_id)

    async def note(tx: Session, folded: Folded) -> None:
        done = folded.built if folded.is_first else job.done + folded.people
        await leases.advance(tx, job, None, done=done, total=max(done, total), profiles=folded.people)

    while await fold(db, scope, config, policy, attribute, note=note) is not None:
        pass


async def _drop(db: Database, scope: Scope, job: LeasedJob, kept: Kept) -> None:
    gone = 1
    while gone:
        async with db.transaction(scope.sandbox_id) as tx:
            gone = await tx.value(DROP, scope.sandbox_id, *kept[:2], DROPPED_PER_PIECE)
            if not gone:
                await tx.execute(KEEP_NO_MORE, scope.sandbox_id, *kept[:2])
            await leases.advance(tx, job, None, done=job.done + gone, records=gone)


async def verify_kept_values(check: Check) -> None:
    """Compare kept values with what is computed anew, but for people who changed since: theirs are old, and no search reads them so."""
    for kept in await list_kept(check.tx, check.scope):
        attribute, policy = _of(check.config, kept)
        if attribute is None or policy is None:
            continue  # the job is to drop it
        at = await read_instant(check.tx)
        stale = await stale_people(check.tx, check.scope, policy, kept, at, most=EVERYBODY)
        if stale is not None:
            await _compare(check, kept, attribute, stale, max(at, kept.as_of))
            await _find_missing(check, kept, attribute, stale)


async def _compare(check: Check, kept: Kept, attribute: ComputedAttribute, stale: set[Any], at: Any) -> None:
    after = NIL
    while rows := await check.tx.rows(LIST_VALUES, check.scope.sandbox_id, *kept[:2], after, VALUES_PER_READ):
        after = rows[-1]["profile_id"]
        stored = {row["profile_id"]: row for row in rows if row["profile_id"] not in stale}
        present = await read_people(check.tx, check.scope, kept.identity_graph, stored)
        people = {row["profile_id"]: tuple(row["xids"]) for row in present}
        members = list(people.values())
        found = await values_of_events(check.tx, check.scope, check.config, [attribute], people=members, at=at)
        times = [at] * len(members)
        latest = await read_next_changes(check.tx, check.scope, attribute, members, times, leaps=False)
        made = dict(zip(people, zip(found, latest, strict=True), strict=True))
        for profile_id, row in stored.items():
            value, change_at = made.get(profile_id, (None, None))
            if value is None or comparable(value.get(attribute.name)) != comparable(row["value"]):
                check.differs("kept_value", (attribute.name, profile_id), "differs from what is computed of the events")
            elif change_at is not None and (row["next_change_at"] is None or row["next_change_at"] > change_at):
                check.differs(
                    "kept_value",
                    (attribute.name, profile_id),
                    "would be kept beyond the time at which its window slides",
                )
        check.compared["kept values"] += len(stored)


async def _find_missing(check: Check, kept: Kept, attribute: ComputedAttribute, stale: set[Any]) -> None:
    """Report people who have no kept value, though no change says that theirs is to be computed."""
    after = NIL
    while people := await list_people_after(check.tx, check.scope, kept.identity_graph, after, VALUES_PER_READ):
        after = people[-1]["profile_id"]
        present = {row["profile_id"] for row in people} - stale
        rows = await check.tx.rows(READ, check.scope.sandbox_id, *kept[:2], list(present))
        for profile_id in sorted(present.difference(row["profile_id"] for row in rows)):
            check.differs("kept_value", (attribute.name, profile_id), "is not there, and no change says so")


def _of(config: Configuration, kept: Kept) -> tuple[ComputedAttribute | None, MergePolicy | None]:
    """Return the attribute that is kept, if it is published, and a policy with its kind of graph."""
    attribute = config.attributes.find(kept.attribute_id)
    policies = (each for each in config.policies.values() if each.settings.identity_graph == kept.identity_graph)
    is_computed = attribute is not None and attribute.is_published and attribute.name in config.programs.programs
    return attribute if is_computed else None, next(policies, None)
