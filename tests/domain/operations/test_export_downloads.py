"""Files of exports are read back as long as they may be, whether or not the job has been there that removes them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from crashes import killed_at
from exported import exported, working
from world import record

from gateway.domain.operations.export_downloads import open_export_file
from gateway.domain.operations.export_jobs import (
    ExportRequest,
    cancel_export_job,
    create_export_job,
    read_export_jobs,
)
from gateway.domain.operations.export_locations import Locations
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.errors import NotFound

PEOPLE = "profiles-00001.parquet"


async def readable(world, locations, export):
    """Return the names of the files that the export tells, each of which can be read; those of people can be read only if it tells them."""
    (told,) = await read_export_jobs(world.db, world.scope, [export.job_id])
    for file in told.files:
        (await open_export_file(world.db, world.scope, locations, export.job_id, file.path)).content.close()
    if PEOPLE not in {file.path for file in told.files}:
        with pytest.raises(NotFound):
            await open_export_file(world.db, world.scope, locations, export.job_id, PEOPLE)
    return [file.path for file in told.files]


async def test_files_of_an_export_are_read_until_their_time_is_over(world, tmp_path, later):
    locations = Locations(tmp_path)
    await world.records(record(("Email", "ana@example.com")))
    export = await exported(world, locations)
    for passed, names in ((timedelta(days=6, hours=23), ["manifest.json", PEOPLE]), (timedelta(days=7, minutes=1), [])):
        assert await readable(replace(world, db=await later(passed)), locations, export) == names


async def test_files_of_an_export_that_was_cancelled_are_read_no_more(world, tmp_path):
    locations = Locations(tmp_path)
    await world.records(record(("Email", "ana@example.com")))
    config = await world.config()
    request = ExportRequest(config.default_policy.policy_id, config.default_policy.version)
    export = await create_export_job(world.db, world.scope, config, request, locations)
    claim = await leases.claim(world.db, [JobKind.EXPORT_PROFILES])
    assert await killed_at(
        2, leases.carry_out(world.db, claim, working(world, claim, locations)), "export_jobs.begin_file"
    )
    assert await readable(world, locations, export) == [PEOPLE]
    await cancel_export_job(world.db, world.scope, export.job_id)
    assert await readable(world, locations, export) == []
