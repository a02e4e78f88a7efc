"""An export and the changes behind it, followed as the documents say, are what a later export has, whatever is written beside and between them."""

import re
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, count
from typing import Any

import pytest
from client import Client
from exported import exported, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.happening import DAYS, Happening, acts
from properties.histories import VALUES, by_examples
from world import event

from gateway.api.ids import global_id
from gateway.domain.operations import export_files, export_rows, export_spool
from gateway.domain.operations.export_jobs import ExportEvents, ExportFormat
from gateway.domain.operations.export_locations import Locations
from gateway.domain.operations.kept_values import refresh_kept_values
from gateway.domain.reading.conditions import read_instant
from gateway.domain.rules.durations import parse_duration
from gateway.domain.rules.merge import canonical
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import JobStatus
from gateway.server.http.docs import read_document
from gateway.storage.database import Database
from gateway.storage.queries import Query

(RECIPE,) = re.findall(r"^```python\n(# follow.py\n.*?)^```$", read_document("exports").text, re.MULTILINE | re.DOTALL)
EXPORT = "query Export($id: ID!) { exportJob(id: $id) { changesCursor mergePolicy { id } mergePolicyVersion } }"
VERSION = "query Version($id: ID!) { mergePolicy(id: $id) { version } }"
KEEP_NOTHING = Query(
    "test.keep_nothing", "delete from gateway.kept_attribute where sandbox_id = $1 returning 1", ("sandbox_id",), (), "rows", "For tests.",
)  # fmt: skip
numbers = count()


@pytest.fixture
async def happening_in(replay, later):
    """Empty the sandbox, and return what can happen there."""
    much_later = await later(timedelta(days=DAYS + 1))

    async def emptied() -> Happening:
        await replay.empty()
        happening = Happening(replay.world, much_later, next(numbers))
        await happening.do(("rules", []))
        await happening.do(("merge", None))
        return happening

    return emptied


def recipe(select: str = "", attributes: str = "") -> dict[str, Any]:
    """Return what the document's program defines, with small pages; of the fields of a selector alone, and with attributes that are followed."""
    text = RECIPE.replace("first: 100", "first: 2").replace("20", "3")
    if select:
        text = text.replace("      entityJson\n", f'      entityJson(select: "{select}")\n')
        text = text.replace("first: 2, after", f'attributes: ["{attributes}"], first: 2, after', 1)
    names: dict[str, Any] = {"__name__": "follow"}
    exec(compile(text, "follow.py", "exec"), names)  # noqa: S102 (it is ours)
    return names


@contextmanager
def in_small_pieces(happening: Happening, beside: Any) -> Any:
    """Read and write exports in small pieces, and do the next act in front of each."""

    async def between(work: Any, *args: Any, **more: Any) -> Any:
        if (act := next(beside, None)) is not None:
            await happening.do(act)
        return await work(*args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_spool, "_keep", partial(between, export_spool._keep))
        patch.setattr(export_rows, "_read", partial(between, export_rows._read))
        for name in ("PEOPLE_PER_PAGE", "PROFILES_PER_PAGE"):
            patch.setattr(export_spool, name, 2)
        patch.setattr(export_spool, "PARTS", 1)  # one act after the other
        patch.setattr(export_rows, "ROWS_PER_READ", 2)
        patch.setattr(export_rows, "IDENTITIES_PER_READ", 2)
        patch.setattr(export_files, "ROWS_PER_FILE", 2)
        yield


async def rows(world: Any, locations: Locations, policy: Any, **wanted: Any) -> tuple[Any, dict[str, Any]]:
    """Export everybody, again and again as long as somebody is erased meanwhile. Return the export, and its rows by the kind of their files."""
    while True:
        now = (await world.config()).policies[policy.policy_id]
        export = await exported(world, locations, now, empty_profiles=True, events=ExportEvents(), **wanted)
        if export.job.status is JobStatus.COMPLETED:
            return export, {kind: rows_of(world, locations, export, kind) for kind in ("profiles", "events")}


async def begun(client: Client, names: dict[str, Any], export: Any, found: dict[str, Any]) -> Any:
    """Begin a copy with the rows of an export."""
    asked = await client.data(EXPORT, id=global_id("ExportJob", export.job_id))
    copy = names["Copy"](asked["exportJob"])
    for kind, listed in found.items():
        copy.load(kind, listed)
    return copy


def compared(people: Iterable[Any], events: Iterable[Any]) -> tuple[list[str], list[str]]:
    return sorted(map(canonical, people)), sorted(map(canonical, events))


def has(copy: Any) -> tuple[list[str], list[str]]:
    """Return what a copy has, to be compared."""
    return compared(copy.people.values(), chain.from_iterable(copy.events.values()))


@settings(by_examples, max_examples=10)
@given(
    before=acts(),
    beside=acts(1, 2),
    between=acts(),
    place=st.integers(0, 2),
    form=st.sampled_from(ExportFormat),
    is_lagging=st.booleans(),
)
async def test_an_export_and_the_changes_behind_it_are_a_later_export(
    happening_in, policy_of, tmp_path_factory, *, before, beside, between, place, form, is_lagging
):
    happening = await happening_in()
    world, policy, client = happening.world, policy_of(place), Client.of(happening.world)
    locations, names = Locations(tmp_path_factory.mktemp("exports")), recipe()

    async def followed(copy: Any) -> None:
        if policy.settings.is_default:  # whose changes tell of everybody whom another version shows otherwise
            copy.version = (await client.data(VERSION, id=copy.policy))["mergePolicy"]["version"]
        await copy.follow(client.data)

    for act in before:
        await happening.do(act)
    left = iter(beside)
    with in_small_pieces(happening, left):
        copy = await begun(client, names, *await rows(world, locations, policy, format=form))
        for act in (*left, *between):
            await happening.do(act)
            if not is_lagging:
                await followed(copy)
        await followed(copy)
        _, found = await rows(world, locations, policy, format=form)
    assert has(copy) == compared(found["profiles"], found["events"])


VISITS = st.tuples(st.sampled_from(VALUES["Email"]), st.integers(0, 11 * 24), st.integers(-1, 2))
"""Who, how many hours ago, and for how much."""


@pytest.fixture
async def clock(replay, dsn):
    """Give the world of a time."""
    opened = []

    async def at(moment: datetime) -> Any:
        opened.append(await Database.connect(f"{dsn}&gateway.now={moment.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}", size=3))
        return replace(replay.world, db=opened[-1])

    yield at
    for each in opened:
        await each.close()


@settings(by_examples, max_examples=6)
@given(
    past=st.lists(VISITS, min_size=3, max_size=8),
    passes=st.lists(st.tuples(st.integers(1, 48), st.lists(VISITS, max_size=2), st.booleans()), min_size=2, max_size=4),
    place=st.integers(0, 1),
)
async def test_values_whose_windows_slide_are_those_of_a_later_export(
    replay, policy_of, clock, tmp_path_factory, *, past, passes, place
):
    await replay.empty()
    await replay.world.db.rows(KEEP_NOTHING, replay.world.scope.sandbox_id)  # of another example, which ended later
    world, policy, now = replay.world, policy_of(place), await read_instant(replay.world.db)
    if not (await world.config()).attributes:
        await world.publish("lately", "xEvent.sum(commerce.order.priceTotal)", parse_duration("P10D"))
    fields = f"identityMap,_{world.scope.organization.code}.ComputedAttributes.lately"
    locations, names, made = Locations(tmp_path_factory.mktemp("exports")), recipe(fields, "lately"), count()

    async def visit(world: Any, at: datetime, visits: Any) -> None:
        for email, hours, price in visits:
            bought, when = {"commerce": {"order": {"priceTotal": price}}}, at - timedelta(hours=hours)
            await world.events(event(f"e{next(made)}", when.isoformat(), ("Email", email), **bought))

    async def refresh(world: Any) -> None:
        await jobs.schedule(world.db)
        async with world.db.transaction() as tx:
            await jobs.hasten(tx, world.scope, JobKind.REFRESH_KEPT_VALUES)
        if claim := await leases.claim(world.db, [JobKind.REFRESH_KEPT_VALUES]):
            work = refresh_kept_values(world.db, world.scope, world.configurations, claim, days=30)
            await leases.carry_out(world.db, claim, work)

    await visit(world, now, past)
    asked = Client.of(world)
    await asked.data(names["CHANGES"], policy=global_id("MergePolicy", policy.policy_id))
    copy = await begun(asked, names, *await rows(world, locations, policy, fields=fields))
    for hours, visits, is_followed in passes:
        now += timedelta(hours=hours)
        world = await clock(now)
        await visit(world, now, visits)
        if is_followed:
            await copy.follow(Client.of(world).data)
    await refresh(world)
    await copy.follow(Client.of(world).data)
    _, found = await rows(world, locations, policy, fields=fields)
    assert has(copy) == compared(found["profiles"], found["events"])
