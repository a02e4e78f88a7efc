"""An export is what single reads give at its instant, whatever others write beside it."""

import itertools

import pytest
from exported import exported, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.histories import by_examples, histories

from gateway.domain.operations import export_files, export_rows, export_spool
from gateway.domain.operations.export_jobs import ExportEvents, ExportFormat
from gateway.domain.operations.export_locations import Locations
from gateway.domain.reading import events, profiles
from gateway.domain.reading.events import EventFilter, EventOrder, EventRequest
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import canonical

ALL = EventRequest(EventFilter(), EventOrder(), Window(1_000))


async def read_everything(world, policy):
    """Read everybody under a policy, one by one, and their events."""
    config = await world.config()
    asked = world.db, world.scope, config, policy
    people = (await profiles.search_profiles(*asked, Window(1_000))).items
    found = [result.profile for each in people for result in await profiles.read_profiles(*asked, [each.profile_id])]
    pages = await events.list_events(world.db, world.scope, [each.person.xids for each in found], ALL)
    told = {
        (str(one.profile_id), each.event_id, canonical(each.document))
        for one, page in zip(found, pages, strict=True)
        for each in page.items
    }
    return {str(each.profile_id): (canonical(each.document), each.person.merged is None) for each in found}, told


@settings(by_examples, max_examples=15)
@given(
    before=histories(),
    beside=histories(max_size=3),
    place=st.integers(0, 2),
    form=st.sampled_from(ExportFormat),
    is_empty_wanted=st.booleans(),
)
async def test_an_export_is_the_union_of_single_reads_at_its_instant(
    replay, policy_of, tmp_path_factory, *, before, beside, place, form, is_empty_wanted
):
    world, policy, later, expected = replay.world, policy_of(place), iter(beside), []
    await replay.empty()
    await replay.run(before)

    async def taking(still, scope):
        found = await read_position(still, scope)
        expected.append(await read_everything(world, policy))
        return found

    async def keeping(*args, **more):
        found = await keep(*args, **more)
        for step in itertools.islice(later, 1):
            assert (await (await replay._call(world, step))).failed == []
        return found

    read_position, keep = export_spool.read_position, export_spool._keep
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_spool, "read_position", taking)
        patch.setattr(export_spool, "_keep", keeping)
        for name in ("PEOPLE_PER_PAGE", "PROFILES_PER_PAGE"):
            patch.setattr(export_spool, name, 1)
        patch.setattr(export_rows, "ROWS_PER_READ", 2)
        patch.setattr(export_rows, "IDENTITIES_PER_READ", 2)
        patch.setattr(export_files, "ROWS_PER_FILE", 2)
        locations = Locations(tmp_path_factory.mktemp("exports"))
        wanted = {"format": form, "empty_profiles": is_empty_wanted, "events": ExportEvents()}
        export = await exported(world, locations, policy, **wanted)
    assert export.job.error is None
    ((people, told),) = expected
    shown = {key: text for key, (text, is_empty) in people.items() if is_empty_wanted or not is_empty}
    rows = rows_of(world, locations, export, "profiles")
    assert [row["profileId"] for row in rows] == sorted(shown)
    assert {row.pop("profileId"): canonical(row) for row in rows} == shown
    rows = rows_of(world, locations, export, "events")
    for row in rows:
        assert row.pop("identity")["value"] in str(row["identityMap"])
    found = [(row.pop("profileId"), row["_id"], canonical(row)) for row in rows]
    assert sorted(found) == sorted(one for one in told if one[0] in shown)
    assert (
        (export.state.profiles, export.state.events)
        == (len(shown), len(found))
        == (export.state.people, export.state.found_events)
    )
