"""Generated histories of a sandbox, and the views that one leaves in the store.

Each step has a time of ingestion of its own, whenever and in whatever order the steps are run.
"""

from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from world import World, event, record

from gateway.domain.config.identity_settings import NamespaceRule, update_identity_settings
from gateway.domain.facts import batches
from gateway.domain.ingest.ingestion import IngestResult
from gateway.domain.operations.sandbox_regrouping import regroup_identities
from gateway.domain.operations.verification import verify
from gateway.domain.operations.version_retention import expire_versions
from gateway.domain.reading.identities import read_sightings
from gateway.domain.rules import graphs
from gateway.domain.rules.versions import Mode
from gateway.domain.views import graph_union
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.storage.database import Database
from gateway.storage.queries import Query

START = datetime(2026, 3, 1, tzinfo=UTC)

by_examples = settings(
    deadline=None,  # the machine may be busy
    max_examples=40,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
    ],  # each example empties the sandbox first
)


@dataclass(frozen=True)
class Step:
    """Documents that are ingested together. Steps of one dataset with the same number of a batch share that batch."""

    number: int
    batch: int
    dataset: str
    mode: Mode
    documents: tuple[dict[str, Any], ...]

    def is_of_batch(self, other: "Step") -> bool:
        """Tell whether both steps are removed with one batch."""
        return (self.batch, self.dataset) == (other.batch, other.dataset)

    @property
    def at(self) -> datetime:
        return START + timedelta(hours=self.number)


VALUES = {
    "Email": ["ana@example.com", "bob@example.com", "cleo@example.com"],
    "Phone": ["+1", "+2", "+3"],
    "ECID": ["1" * 38, "2" * 38, "3" * 38],
}
DATASETS = ("crm", "loyalty", "shop")
identities = st.sampled_from([(namespace, value) for namespace, values in VALUES.items() for value in values])
names = st.sampled_from(["Ana", "Anna", "Bob", "Bobby"])
people_named = st.lists(identities, min_size=1, max_size=3, unique=True)
emails = st.fixed_dictionaries(
    {"address": st.sampled_from(VALUES["Email"]), "label": st.sampled_from(["home", "work"])}
)
memberships = st.dictionaries(
    st.sampled_from(["vip", "new"]),
    st.sampled_from(["realized", "exited"]).map(lambda status: {"status": status}),
    min_size=1,
)
audits = st.integers(0, 2).map(lambda n: {"lastUpdatedDate": (START - timedelta(days=n)).isoformat()})


@st.composite
def records(draw, mode):
    """Generate a record; for a deletion only its primary identity."""
    named = draw(people_named)
    if mode is Mode.DELETE:
        return record(*named[:1])
    optional = {
        "personalEmail": emails,
        "extSourceSystemAudit": audits,
        "segmentMembership": memberships.map(lambda segments: {"ups": segments}),
    }
    fields = draw(st.fixed_dictionaries({}, optional=optional))
    return record(*named, first_name=draw(st.none() | names), **fields)


@st.composite
def events(draw, who, *, vary):
    """Generate an event, whose _id always names the same identities. Unless `vary`, its body is always the same, too.

    The first of several bodies stays, so results would depend on the order of arrival.
    """
    number = draw(st.sampled_from(sorted(who)))
    at = START - timedelta(days=number % 5)
    named = draw(st.permutations(who[number])) if vary else who[number]
    kind = draw(st.sampled_from("ab")) if vary else "ab"[number % 2]
    return event(f"e{number}", at.isoformat(), *named, eventType=kind)


EVENTS = st.dictionaries(st.integers(0, 6), people_named, min_size=1)
"""The identities that each event names, by the number of the event."""


@st.composite
def steps(draw, number, who, *, modes, datasets, vary):
    dataset = draw(st.sampled_from(datasets))
    mode = Mode.REPLACE if dataset == "shop" else draw(st.sampled_from(modes))
    documents = events(who, vary=vary) if dataset == "shop" else records(mode)
    batch = draw(st.integers(0, number))
    return Step(number, batch, dataset, mode, tuple(draw(st.lists(documents, min_size=1, max_size=3))))


@st.composite
def histories(draw, *, modes=tuple(Mode), datasets=DATASETS, min_size=1, max_size=6, vary=False):
    """Generate steps in order. `vary`: an event that is sent again may have another body and another primary identity."""
    who = draw(EVENTS) if "shop" in datasets else {}
    count = draw(st.integers(min_size, max_size))
    return [draw(steps(number, who, modes=modes, datasets=datasets, vary=vary)) for number in range(count)]


@st.composite
def identity_rules(draw):
    """Generate identity settings, empty half of the time: people's namespaces in any order, unique or not, then cookies."""
    people = draw(st.permutations(["Email", "Phone"]))[: draw(st.integers(0, 2))]
    rules = [NamespaceRule(code, is_unique=draw(st.booleans())) for code in people]
    return draw(st.just([]) | st.just([*rules, NamespaceRule("ECID")]))


def lower_limits(patch: pytest.MonkeyPatch) -> None:
    """Make a component of six identities too large, and a graph hold three."""
    patch.setattr(graphs, "MAX_GRAPH_SIZE", 3)
    patch.setattr(graph_union, "MAX_GRAPH_SIZE", 3)
    patch.setattr(graphs, "MAX_COMPONENT", 5)
    patch.setattr(graphs, "DEGREE_LIMITS", (graphs.MAX_NEIGHBOURS, 3, 2, 1))


class Replay:
    """One sandbox in which histories are run, each after it was emptied.

    `moving` has one connection, on which each step sets its own time; on those of `started`, it is always START.
    """

    def __init__(self, world: World, moving: Database, started: Database) -> None:
        self.world, self._moving, self._started = world, moving, started
        self._settled = 0

    @classmethod
    @asynccontextmanager
    async def of(cls, world: World, dsn: str) -> AsyncIterator["Replay"]:
        """Open connections on which time stands still."""
        moving = await Database.connect(dsn, size=1)
        started = await Database.connect(f"{dsn}&gateway.now={quote(START.isoformat())}", size=4)
        yield cls(world, moving, started)
        await moving.close()
        await started.close()

    async def empty(self) -> None:
        """Delete all facts and views, and keep the batches: their ids are random, and those of two runs can be compared only if they are the same.

        Batches that were deleted for good, or that are settled, are forgotten, so that their keys name them again.
        """
        await self.world.empty()
        await self.world.db.rows(FORGET, self.world.scope.sandbox_id)

    async def run(self, history: Iterable[Step]) -> None:
        """Run the steps in the order given."""
        for step in history:
            await self._moving.rows(SET_NOW, step.at.isoformat())
            world = replace(self.world, db=self._moving)
            assert (await (await self._call(world, step))).failed == []

    async def _call(self, world: World, step: Step) -> Coroutine[Any, Any, IngestResult]:
        batch_id = await self.batch_of(step)
        if step.dataset == "shop":
            return world.events(*step.documents, batch_id=batch_id)
        dataset = getattr(world, step.dataset)
        return world.records(*step.documents, dataset=dataset, mode=step.mode, batch_id=batch_id)

    async def run_at_once(self, history: Sequence[Step], *, together: bool) -> None:
        """Run the steps at the same moment, one after another or committed as a group, after a deletion of an unknown record."""
        world = replace(self.world, db=self._started)
        unknown = Step(0, -1, "crm", Mode.DELETE, (record(("Email", "nobody@example.com")),))
        calls = [await self._call(world, step) for step in (unknown, *history)]
        results = await world.together(*calls) if together else [await call for call in calls]
        assert [result.failed for result in results] == [[]] * len(calls)

    async def set_rules(self, rules: Sequence[NamespaceRule]) -> None:
        """Change the identity settings."""
        await update_identity_settings(self.world.db, self.world.scope, rules)

    async def regroup(self) -> None:
        """Run the job that a change of settings enqueued."""
        world = self.world
        while claim := await leases.claim(world.db, [JobKind.REGROUP_IDENTITIES]):
            scope = replace(world.scope, sandbox=await world.fresh_sandbox())
            await leases.carry_out(world.db, claim, regroup_identities(world.db, scope, world.configurations, claim))

    async def undo(self, step: Step, how: str = "abort") -> None:
        """Abort, revert or delete the step's batch, and with it all steps that share it."""
        await getattr(self.world, how)(await self.batch_of(step))

    async def expire_versions(self, history: Iterable[Step]) -> int:
        """Complete the batches of these steps, let them be settled, and remove the versions that they supersede. Return how many went."""
        world = self.world
        for batch_id in {await self.batch_of(step) for step in history}:
            await batches.complete_batch(world.db, world.scope, batch_id)
        await jobs.schedule(world.db)
        self._settled += 1
        await self._moving.rows(SET_NOW, (datetime.now(UTC) + timedelta(days=40 + self._settled)).isoformat())
        job = await leases.claim(self._moving, [JobKind.EXPIRE_VERSIONS])
        assert job is not None
        work = expire_versions(self._moving, world.scope, world.configurations, job, days=30)
        await leases.carry_out(self._moving, job, work)
        return job.done

    async def clear(self, dataset: str) -> None:
        """Delete everything that came into a dataset."""
        await self.world.clear(getattr(self.world, dataset))

    async def batch_of(self, step: Step) -> UUID:
        return await self.world.batch(f"step {step.batch}", getattr(self.world, step.dataset))

    async def views(self) -> dict[str, Sequence[Any]]:
        """Read everything that reads depend on, in an order of its own."""
        sandbox_id = self.world.scope.sandbox_id
        views = {view.name: [tuple(row) for row in await self.world.db.rows(view, sandbox_id)] for view in VIEWS}
        xids = [row[0] for row in views["test.identity"]]
        return views | {"sightings": await read_sightings(self.world.db, self.world.scope, xids)}

    async def differences(self) -> list[Any]:
        return await verify(self.world.db, self.world.scope, self.world.configurations)


def without_first_senders(views: dict[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Leave out the batch and the time of events: they are those of the first sender, so they depend on the order of arrival."""
    return views | {"test.event": [row[:5] for row in views["test.event"]]}


def without_batches(views: dict[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Leave out which batch a fragment or an event is of, as a key that came again names another one."""
    fragments = [(*row[:2], *row[3:]) for row in views["test.fragment"]]
    return without_first_senders(views) | {"test.fragment": fragments}


def _view(name: str, columns: str) -> Query:
    sql = f"select {columns} from gateway.{name} where sandbox_id = $1 order by 1, 2, 3"
    return Query(f"test.{name}", sql, ("sandbox_id",), (), "rows", "For tests.")


SET_NOW = Query("test.set_now", "select set_config('gateway.now', $1, false)", ("now",), (), "rows", "For tests.")
FORGET = Query(
    "test.forget",
    "delete from gateway.batch where sandbox_id = $1 and (status = 'DELETED' or settled_at is not null) returning 1",
    ("sandbox_id",),
    (),
    "rows",
    "For tests.",
)
UNDOING = st.sampled_from(["abort", "revert", "delete"])
"""How a batch is taken back."""
VIEWS = [
    _view("identity", "xid, namespace_id, value, profile_id, degree_limit"),
    _view("graph", "profile_id, xids, identity_map::text, is_contested, size"),
    _view("fragment", "xid, dataset_id, batch_id, ingested_at, observed_at, folded::text, is_deleted, head_at"),
    _view("profile", "policy_id, profile_id, document::text, sources, modified_at"),
    _view("event", "xid, dataset_id, event_id, timestamp, event_type, batch_id, ingested_at, document::text"),
]
