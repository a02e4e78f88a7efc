"""An export holds nobody up: whoever writes, follows changes or delivers to an edge goes on while it takes its instant, reads and writes."""

import asyncio

from edge.hub import looked_up
from exported import exported, rows_of
from world import event, record

from gateway.domain.operations import export_files, export_rows, export_spool
from gateway.domain.operations.export_jobs import ExportEvents, ExportFormat
from gateway.domain.operations.export_locations import Locations
from gateway.domain.reading.changes import list_changes, read_position
from gateway.domain.rules.keyset import Window

ANA, BOB = [("Email", f"{name}@example.com") for name in ("ana", "bob")]


async def test_writers_followers_and_edges_go_on_while_an_export_reads_and_writes(hub, tmp_path, monkeypatch):
    """Each gate stands in a stage of the export, which goes on when a change has been written, read from the feed and answered by the edge."""
    world, policy, seen = hub.world, (await hub.world.config()).default_policy, []
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bob"))
    await world.events(event("e1", "2026-01-01T00:00:00Z", ANA), event("e2", "2026-01-02T00:00:00Z", BOB))
    await world.project("names", "person.name")
    await hub.deliver()
    (position, _), locations = await read_position(world.db, world.scope), Locations(tmp_path)

    async def notice(stage):
        nonlocal position
        page = await list_changes(world.db, world.scope, policy, Window(10, after=position.key))
        position = page.end
        await hub.deliver()
        (profile,) = await looked_up(hub, ANA)
        seen.append((stage, len(page.items), profile["person"]["name"]["firstName"]))

    def gate(module, name, stage, *, may_write=True):
        work = getattr(module, name)

        async def gated(*args, **more):
            found = await work(*args, **more)
            if may_write:
                await world.records(record(ANA, first_name=f"{stage} {len(seen)}"))
            await notice(stage)
            return found

        monkeypatch.setattr(module, name, gated)

    monkeypatch.setattr(export_spool, "PEOPLE_PER_PAGE", 1)
    monkeypatch.setattr(export_spool, "PARTS", 1)  # one page after the other
    monkeypatch.setattr(export_files, "ROWS_PER_FILE", 1)
    monkeypatch.setattr(export_rows, "ROWS_PER_READ", 1)
    gate(export_spool, "read_position", "instant", may_write=False)  # while nobody writes
    gate(export_spool, "_keep", "reading")
    gate(export_rows, "_read", "events")
    gate(export_files, "_finish", "files")
    await world.records(record(ANA, first_name="before"))
    async with asyncio.timeout(60):
        export = await exported(world, locations, format=ExportFormat.JSONL, events=ExportEvents())
    stages = [stage for stage, _, _ in seen]
    assert stages[0] == "instant"
    assert {"reading", "files", "events"} == set(stages[1:])
    assert seen == [("instant", 1, "before"), *((stage, 1, f"{stage} {n}") for n, stage in enumerate(stages[1:], 1))]
    rows = rows_of(world, locations, export, "profiles")
    assert sorted(row["person"]["name"]["firstName"] for row in rows) == ["Bob", "before"]
