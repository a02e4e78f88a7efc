"""An export and the changes behind it, followed as the documents say, are what a later export has, whatever is written beside and between them."""

import re
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from client import Client
from exported import exported, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.happening import DAYS, Happening, acts
from properties.histories import by_examples

from gateway.api.ids import global_id
from gateway.domain.operations import export_files, export_rows, export_spool
from gateway.domain.operations.export_jobs import ExportEvents, ExportFormat
from gateway.domain.operations.export_locations import Locations
from gateway.domain.rules.merge import canonical
from gateway.domain.work.jobs import JobStatus
from gateway.server.http.docs import read_document

(RECIPE,) = re.findall(r"^```python\n(# follow.py\n.*?)^```$", read_document("exports").text, re.MULTILINE | re.DOTALL)
EXPORT = "query Export($id: ID!) { exportJob(id: $id) { changesCursor mergePolicy { id } mergePolicyVersion } }"
VERSION = "query Version($id: ID!) { mergePolicy(id: $id) { version } }"
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


def recipe() -> dict[str, Any]:
    """Return what the document's program defines; with small pages."""
    text = RECIPE.replace("first: 100", "first: 2").replace("20", "3")
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
        patch.setattr(export_spool, "PEOPLE_PER_PAGE", 2)
        patch.setattr(export_rows, "ROWS_PER_READ", 2)
        patch.setattr(export_rows, "IDENTITIES_PER_READ", 2)
        patch.setattr(export_files, "ROWS_PER_FILE", 2)
        yield


async def rows(world: Any, locations: Locations, policy: Any, form: ExportFormat) -> tuple[Any, dict[str, Any]]:
    """Export everybody, again and again as long as somebody is erased meanwhile. Return the export, and its rows by the kind of their files."""
    while True:
        now = (await world.config()).policies[policy.policy_id]
        wanted = {"format": form, "empty_profiles": True, "events": ExportEvents()}
        export = await exported(world, locations, now, **wanted)
        if export.job.status is JobStatus.COMPLETED:
            return export, {kind: rows_of(world, locations, export, kind) for kind in ("profiles", "events")}


def compared(people: Sequence[Any], events: Sequence[Any]) -> tuple[list[str], list[str]]:
    return sorted(map(canonical, people)), sorted(map(canonical, events))


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

    async def begun() -> Any:
        export, found = await rows(world, locations, policy, form)
        asked = await client.data(EXPORT, id=global_id("ExportJob", export.job_id))
        copy = names["Copy"](asked["exportJob"])
        for kind, listed in found.items():
            copy.load(kind, listed)
        return copy

    async def followed(copy: Any) -> None:
        if policy.settings.is_default:  # whose changes tell of everybody whom another version shows otherwise
            copy.version = (await client.data(VERSION, id=copy.policy))["mergePolicy"]["version"]
        await copy.follow(client.data)

    for act in before:
        await happening.do(act)
    left = iter(beside)
    with in_small_pieces(happening, left):
        copy = await begun()
        for act in (*left, *between):
            await happening.do(act)
            if not is_lagging:
                await followed(copy)
        await followed(copy)
        _, found = await rows(world, locations, policy, form)
    told = list(copy.people.values()), [row for listed in copy.events.values() for row in listed]
    assert compared(*told) == compared(found["profiles"], found["events"])
