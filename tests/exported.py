"""Exports that a test does at once, and what is in their files, read back as JSON values."""

import gzip
import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from world import World

from gateway.domain.operations.export_jobs import (
    ExportFormat,
    ExportJob,
    ExportRequest,
    create_export_job,
    read_export_jobs,
)
from gateway.domain.operations.export_locations import Locations
from gateway.domain.operations.export_profiles import export_profiles
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.leases import LeasedJob

MOST = 10**9


async def work(world: World, locations: Locations, most: int = MOST) -> None:
    """Do all exports that are due."""
    while claim := await leases.claim(world.db, [JobKind.EXPORT_PROFILES]):
        await leases.carry_out(world.db, claim, working(world, claim, locations, most))


def working(world: World, claim: LeasedJob, locations: Locations, most: int = MOST) -> Any:
    """Return the work of a claimed export."""
    options = {"locations": locations, "days": 7, "most": most}
    return export_profiles(world.db, world.scope, world.configurations, claim, **options)


async def exported(world: World, locations: Locations, policy: Any = None, **wanted: Any) -> ExportJob:
    """Ask for an export, do it, and return it as it is then."""
    config = await world.config()
    policy = policy or config.default_policy
    request = ExportRequest(policy.policy_id, policy.version, **wanted)
    made = await create_export_job(world.db, world.scope, config, request, locations)
    await work(world, locations)
    (ended,) = await read_export_jobs(world.db, world.scope, [made.job_id])
    assert ended is not None
    return ended


def folder_of(world: World, locations: Locations, export: ExportJob) -> Path:
    """Return the directory of an export's files."""
    return locations.directory / locations.folder_of(world.scope, export.job_id, export.request.location)


def rows_of(world: World, locations: Locations, export: ExportJob, kind: str) -> list[dict[str, Any]]:
    """Return the rows of an export's files of people or events, as the documents that they were; each file is what is told of it."""
    folder, found = folder_of(world, locations, export), list[dict[str, Any]]()
    for file in export.files:
        path = folder / file.path
        content = path.read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
        if not file.path.startswith(kind):
            continue
        if export.request.format is ExportFormat.JSONL:
            rows = [orjson.loads(line) for line in gzip.decompress(content).splitlines()]
        else:
            table = pq.read_table(path)
            rows = [plain(row, pa.struct(list(table.schema))) for row in table.to_pylist()]
        assert len(rows) == file.rows
        found += rows
    return found


def plain(value: Any, kind: Any) -> Any:
    """Return a value of Arrow as the JSON that it was made of."""
    if pa.types.is_struct(kind):
        return {each.name: plain(value[each.name], each.type) for each in kind if value[each.name] is not None}
    if pa.types.is_list(kind):
        return [plain(each, kind.value_type) for each in value]
    if pa.types.is_map(kind):
        return {key: plain(each, kind.item_type) for key, each in value}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
