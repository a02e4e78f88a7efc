"""Sandboxes with a job of each kind that has something to do, and what is in them; where each kind commits.

Such sandboxes are copied row by row: what a job leaves in one copy, wherever it was killed, can be compared with what it leaves in another.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import UUID

import orjson
from crashes import WRITTEN, killed_after
from world import World, event, record

from gateway.domain.config import datasets, policies, sandboxes, search_indexes
from gateway.domain.config.computed_attributes import (
    AttributeSettings,
    AttributeStatus,
    ComputedAttribute,
    create_attribute,
    update_attribute,
)
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.identity_settings import NamespaceRule, update_identity_settings
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.facts import batches
from gateway.domain.operations import (
    attribute_backfill,
    change_retention,
    erasure,
    erasure_redaction,
    event_retention,
    export_files,
    export_retention,
    export_rows,
    export_spool,
    export_subjects,
    ingest_error_retention,
    kept_values,
    partial_retention,
    policy_materialization,
    profile_retention,
    removal,
    sandbox_regrouping,
    version_retention,
)
from gateway.domain.operations.batch_removal import abort_batch, delete_batch, revert_batch
from gateway.domain.operations.dataset_removal import delete_dataset
from gateway.domain.operations.erasure import DeleteScope, delete_profiles
from gateway.domain.operations.export_files import MANIFEST
from gateway.domain.operations.export_jobs import ExportEvents, ExportFormat, ExportRequest, create_export_job
from gateway.domain.reading import kept_values as reading_kept_values
from gateway.domain.reading.conditions import check_condition
from gateway.domain.reading.search import Search, find_profiles
from gateway.domain.rules.durations import Duration, parse_duration
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import RULES, JobKind
from gateway.domain.work.jobs import JobStatus
from gateway.server.worker import handlers, locations_of
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.queries import Query
from gateway.xdm.classes import XdmClass

OF_INDEXES = (JobKind.BUILD_SEARCH_INDEX, JobKind.EXPIRE_SEARCH_INDEXES)
"""Kinds of jobs that make or drop indexes."""

DATA_DIR = Path(mkdtemp())
HANDLERS = handlers(Settings(data_dir=DATA_DIR))
LEASE = {"leases.claim_job", "leases.advance_job"}
ONCE, AGAIN = LEASE | {"leases.release_job"}, LEASE | {"leases.rearm_job"}
REMOVAL = {"configuration.read_version", "locks.is_awaited"}
OF_BATCH = REMOVAL | {"batch_removal.remove_resends"}
OF_EVENTS = {
    *("event_retention.remove_resends", "event_retention.remove_events_concurrently", "removal.count_removed"),
}
OF_PEOPLE = REMOVAL | {
    "removal.count_removed",
    *("erasure.remove_resends", "erasure.remove_events_concurrently"),
    *("erasure.forget_changes", "erasure.forget_identities"),
}
COMMIT_POINTS: Mapping[JobKind, set[str]] = {
    JobKind.MATERIALIZE_POLICY: ONCE | {"configuration.read_version", "policy_materialization.lock_people"},
    JobKind.REGROUP_IDENTITIES: ONCE | {"configuration.read_version"},
    JobKind.ABORT_BATCH: ONCE | OF_BATCH,
    JobKind.REVERT_BATCH: ONCE | OF_BATCH,
    JobKind.DELETE_BATCH: ONCE | OF_BATCH | {"batch_removal.remove_errors"},
    JobKind.DELETE_DATASET: ONCE | OF_BATCH | {"batch_removal.remove_errors", "dataset_removal.open_dataset"},
    JobKind.DELETE_PROFILE: ONCE | OF_PEOPLE,
    JobKind.EXPIRE_EVENTS: AGAIN | REMOVAL | OF_EVENTS,
    JobKind.EXPIRE_PROFILES: AGAIN | REMOVAL,
    JobKind.EXPIRE_VERSIONS: AGAIN | {"version_retention.find_last", "removal.count_removed"},
    JobKind.EXPIRE_ERRORS: AGAIN,
    JobKind.EXPIRE_CHANGES: AGAIN | {"changes.move_journal_since", "changes.expire_changes"},
    JobKind.COMPLETE_BATCHES: AGAIN | {"batches.list_idle"},
    JobKind.EXPIRE_JOBS: AGAIN,
    JobKind.BUILD_SEARCH_INDEX: {
        "leases.claim_job",
        "configuration.read_version",
        "search_indexes.mark_ready",
        "leases.release_job",
    },
    JobKind.REFRESH_KEPT_VALUES: AGAIN | {"configuration.read_version", "kept_values.note_kept"},
    JobKind.EXPIRE_SEARCH_INDEXES: AGAIN | {"configuration.read_version"},
    JobKind.EXPORT_PROFILES: ONCE
    | {"changes.read_present", "configuration.read_version", "export_jobs.begin_file", WRITTEN},
    JobKind.EXPIRE_EXPORTS: AGAIN,
    JobKind.BACKFILL_COMPUTED_ATTRIBUTE: ONCE
    | {"configuration.read_version", "expressions.read_instant", "appending.stamp", "computed_partials.make_some"},
    JobKind.EXPIRE_COMPUTED_PARTIALS: AGAIN | {"configuration.read_version", "computed_partials.expire_partials"},
    JobKind.REPORT_PREVIEWS: AGAIN | {"configuration.read_version"},
    JobKind.BACKFILL_PROJECTION: ONCE | {"configuration.read_version"},
}
"""The last statement before each commit of a kind of job."""

NEWEST = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)
OTHER = PolicySettings("Other", IdentityGraphType.PDG, NEWEST, is_default=True)
ANA, BOB, CARL, DORA = [("Email", f"{name}@example.com") for name in ("ana", "bob", "carl", "dora")]
DEVICES = [("ECID", str(n) * 38) for n in range(1, 6)]
PHONE = ("Phone", "+1")
SECRET = b"s" * 32
"""Makes the same xids each time: jobs take people in their order."""
SMALL = [
    *((removal, name, size) for name, size in [("FIRST_SIZE", 1), ("PIECE_SECONDS", 0), ("VERSIONS_AT_ONCE", 1)]),
    (erasure, "MARKED_AT_ONCE", 1),
    (erasure, "IDENTITIES_AT_ONCE", 2),
    (erasure, "CHANGES_PER_PIECE", 4),
    *((erasure_redaction, name, 1) for name in ("TIES_PER_PAGE", "VERSIONS_PER_PIECE", "EVENTS_PER_PIECE")),
    (event_retention, "IDENTITIES_PER_PIECE", 4),
    (profile_retention, "PEOPLE_PER_LOOK", 3),
    (profile_retention, "PEOPLE_PER_PIECE", 1),
    (ingest_error_retention, "ERRORS_PER_PIECE", 2),
    (change_retention, "CHANGES_PER_PIECE", 3),
    (version_retention, "VERSIONS_PER_PIECE", 2),
    (sandbox_regrouping, "PEOPLE_PER_PIECE", 3),
    (policy_materialization, "PEOPLE_PER_PIECE", 3),
    (policy_materialization, "DELETED_PER_PIECE", 3),
    *((attribute_backfill, name, 4) for name in ("XIDS_AT_FIRST", "XIDS_PER_PIECE")),
    (attribute_backfill, "EVENTS_PER_PIECE", 1),
    (partial_retention, "PARTIALS_PER_PIECE", 3),
    (reading_kept_values, "PEOPLE_PER_PIECE", 2),
    (kept_values, "DROPPED_PER_PIECE", 3),
    *((export_spool, name, 3) for name in ("PEOPLE_PER_PAGE", "PROFILES_PER_PAGE")),
    (export_spool, "ROWS_PER_PIECE", 4),
    (export_files, "ROWS_PER_FILE", 2),
    *((export_rows, name, 2) for name in ("ROWS_PER_READ", "IDENTITIES_PER_READ")),
    (export_subjects, "ROWS_PER_READ", 2),
    (export_retention, "FILES_PER_PIECE", 2),
]


@contextmanager
def small_pieces() -> Iterator[None]:
    """Let jobs work in pieces so small that they commit often, as long as the block lasts."""
    large = [(module, name, getattr(module, name)) for module, name, _ in SMALL]
    try:
        for module, name, size in SMALL:
            setattr(module, name, size)
        yield
    finally:
        for module, name, size in large:
            setattr(module, name, size)


def in_half_a_year() -> datetime:
    """Return a noon at which a job of each kind has something to do: half an hour later it is the same day."""
    return (datetime.now(UTC) + timedelta(days=200)).replace(hour=12, minute=0, second=0, microsecond=0)


def statement(text: str) -> Query:
    return Query("test.statement", text, (), (), "rows", "For tests.")


# ---------------------------------------------------------------------------------------------- sandboxes


async def patterns(db: Database) -> dict[JobKind, int]:
    """Make a sandbox for each kind of job, in which a job of that kind waits for ever; in copies of it, it is due."""
    await db.rows(TAKE_IN_ORDER)
    filled, batch_id = await _filled(db)
    made = dict(zip(HANDLERS, await copies(db, filled.scope.sandbox_id, len(HANDLERS)), strict=True))
    for kind, sandbox_id in made.items():
        scope = await read_own_scope(db, sandbox_id)
        assert scope is not None
        await _start(replace(filled, scope=scope, configurations=Configurations()), batch_id, kind)
    await db.rows(KEEP_ONE, list(made.values()), list(made))
    await db.rows(WAIT)
    return made


KEEP_ONE = statement("""
    delete from gateway.job j
     where status = 'NEW' and not exists (select from unnest($1::bigint[], $2::text[]) as chosen(sandbox_id, kind)
                                           where chosen.sandbox_id = j.sandbox_id and chosen.kind = j.kind)""")
WAIT = statement("update gateway.job set due_at = 'infinity'")


async def _filled(db: Database) -> tuple[World, UUID]:
    """Make a sandbox in which there is something to do for each kind of job."""
    world = await World.create(db)
    await db.rows(
        statement("update gateway.sandbox set secret = $2 where sandbox_id = $1"), world.scope.sandbox_id, SECRET
    )
    world.scope = replace(world.scope, sandbox=await world.fresh_sandbox())
    batch_id = await world.batch("people")
    await world.records(
        record(ANA, PHONE, first_name="Ana"),
        record(BOB, PHONE),
        record(CARL),
        {},
        {},
        record(ANA, x=1),
        batch_id=batch_id,
    )
    await world.records(record(ANA, ("Email", "null"), first_name="Anna"), dataset=world.loyalty)
    old = [event(f"e{n}", _ago(150), device) for n, device in enumerate(DEVICES)]
    await world.events(
        *old, event("tie", _ago(150), DEVICES[0], DEVICES[1]), event("known", _ago(150), ANA, DEVICES[2])
    )
    await world.events(old[0], batch_id=await world.batch("again", world.shop))
    await datasets.update_dataset(db, world.scope, world.shop.dataset_id, {"event_retention_days": 100})
    expiry = (["ECID"], 14)
    await sandboxes.update_sandbox(db, world.scope, world.scope.sandbox_id, {"pseudonymous_expiry": expiry})
    async with db.transaction() as tx:
        await jobs.enqueue(tx, world.scope, JobKind.REGROUP_IDENTITIES)
        await jobs.end(tx, world.scope, JobKind.REGROUP_IDENTITIES, jobs.SANDBOX, JobStatus.CANCELLED)
    return world, batch_id


def _ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _start(world: World, batch_id: UUID, kind: JobKind) -> object:
    """Ask for a job of this kind, or let it be due."""
    db, scope = world.db, world.scope
    await _prepare(world, batch_id, kind)
    if RULES[kind].every:
        return await jobs.schedule(db)
    if kind is JobKind.MATERIALIZE_POLICY:
        return await policies.create_policy(db, scope, OTHER)
    if kind is JobKind.REGROUP_IDENTITIES:
        return await update_identity_settings(db, scope, [NamespaceRule("Email", is_unique=True)])
    if kind is JobKind.EXPORT_PROFILES:
        await _export(world, empty_profiles=True, events=ExportEvents())
        await world.records(
            record(DORA, unknown="x")
        )  # whom the other export, which may be anywhere then, does not hold
        await _export(world, subject=await world.xid(*DORA), format=ExportFormat.JSONL)
        return await db.rows(WAIT)  # nobody is to do it with those that are done below
    if kind is JobKind.ABORT_BATCH:
        return await abort_batch(db, scope, batch_id)
    await batches.complete_batch(db, scope, batch_id)
    if start := {JobKind.REVERT_BATCH: revert_batch, JobKind.DELETE_BATCH: delete_batch}.get(kind):
        return await start(db, scope, batch_id)
    if kind is JobKind.DELETE_DATASET:
        return await delete_dataset(db, scope, world.crm.dataset_id)
    if kind is JobKind.DELETE_PROFILE:
        await world.records(record(DORA), dataset=world.loyalty)
        await world.records(record(DORA, CARL), dataset=world.loyalty)  # two people become one
        xids = [await world.xid(*one) for one in (ANA, CARL, DEVICES[1])]
        return await delete_profiles(db, scope, xids, reach=DeleteScope.IDENTITY)
    if kind in {JobKind.BACKFILL_COMPUTED_ATTRIBUTE, JobKind.BUILD_SEARCH_INDEX, JobKind.BACKFILL_PROJECTION}:
        return None
    raise AssertionError(f"Say here what starts {kind}, and above where it commits.")


async def _export(world: World, **wanted: Any) -> object:
    """Ask for an export."""
    config = await world.config()
    policy, locations = config.default_policy, locations_of(Settings(data_dir=DATA_DIR))
    request = ExportRequest(policy.policy_id, policy.version, **wanted)
    return await create_export_job(world.db, world.scope, config, request, locations)


async def _prepare(world: World, batch_id: UUID, kind: JobKind) -> None:
    """Bring into the sandbox what only a job of this kind works on."""
    db, scope = world.db, world.scope
    if kind is JobKind.EXPIRE_VERSIONS:
        again = await world.batch("again")
        await world.records(record(ANA, first_name="Anna"), record(BOB, PHONE), batch_id=again)
        for each in (batch_id, again):
            await batches.complete_batch(db, scope, each)
    if kind in {JobKind.BUILD_SEARCH_INDEX, JobKind.EXPIRE_SEARCH_INDEXES}:
        config = await world.config()
        await search_indexes.create_search_index(db, scope, config, config.default_policy, "homeAddress.city")
    if kind is JobKind.EXPIRE_EXPORTS:
        await _export(world, empty_profiles=True, events=ExportEvents())
        await worked(db, [JobKind.EXPORT_PROFILES])
    if kind is JobKind.BACKFILL_PROJECTION:
        await world.project("names", "person.name")
    if kind is JobKind.REFRESH_KEPT_VALUES:
        await _keep_values(world)
    if kind in {JobKind.BACKFILL_COMPUTED_ATTRIBUTE, JobKind.EXPIRE_COMPUTED_PARTIALS}:
        made, off = await _publish(world, lookback=parse_duration("P1Y")), AttributeStatus.DISABLED
        if kind is JobKind.EXPIRE_COMPUTED_PARTIALS:
            await update_attribute(db, scope, (await world.config()).unions, made.attribute_id, {}, most=1, status=off)


async def _publish(world: World, name: str = "a", lookback: Duration | None = None) -> ComputedAttribute:
    """Publish an attribute, and add some events to its partials."""
    unions, settings = (await world.config()).unions, AttributeSettings(name, name, "xEvent.count()", lookback=lookback)
    made = await create_attribute(world.db, world.scope, unions, settings, most=2, publish=True)
    await world.events(*(event(f"new{n}", _ago(1), device) for n, device in enumerate(DEVICES)))
    return made


async def _keep_values(world: World) -> None:
    """Let searches read two attributes: one to the end, with people who changed since and windows that slide; and one no more."""
    own = f"_{world.scope.organization.code}.ComputedAttributes"
    for name, lookback in (("recent", parse_duration("P1Y")), ("all", None)):
        await _publish(world, name, lookback)
        config = await world.config()
        condition = await check_condition(config, (XdmClass.INDIVIDUAL_PROFILE, f"{own}.{name} > 0"))
        search = Search(config.default_policy, condition.at(datetime.now(UTC)), 60)
        await find_profiles(world.db, world.scope, config, search, Window(1))
    recent = next(each for each in config.attributes.values() if each.name == "recent")
    await world.db.rows(READ_ON, world.scope.sandbox_id, recent.attribute_id)
    await world.events(*[event(f"new{n}", _ago(30), device) for n, device in enumerate(DEVICES)])


READ_ON = statement(
    "update gateway.kept_attribute set used_at = used_at + interval '200 days' where sandbox_id = $1 and attribute_id = $2"
)


Committed = dict[tuple[int, UUID], list[str]]
"""Where each job committed; a job is known by its sandbox and its id."""


async def worked(
    db: Database, kinds: Sequence[JobKind], kills: Mapping[tuple[int, UUID], int] | None = None
) -> Committed:
    """Do the jobs of these kinds that are due at the time of this database. Kill some of them after the commit of this number, counted from 1."""
    committed: Committed = {}
    while claim := await leases.claim(db, kinds):
        key = claim.sandbox_id, claim.job_id
        committed[key], number = ["leases.claim_job"], (kills or {}).get(key, 0)
        if number != 1:
            scope = await read_own_scope(db, claim.sandbox_id)
            assert scope is not None
            work = HANDLERS[claim.kind](db, scope, Configurations(), claim)
            assert await killed_after(number, leases.carry_out(db, claim, work), committed[key]) == bool(number)
    return committed


# ---------------------------------------------------------------------------------------------- copies and contents

TABLES = statement("""
    select c.relname as name, array_agg(quote_ident(a.attname)) filter (where a.attname <> 'sandbox_id') as columns
      from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relnamespace = 'gateway'::regnamespace and c.relkind = 'r'
     group by c.oid, c.relname
    having bool_or(a.attname = 'sandbox_id')
     order by c.oid""")
"""The tables that tell of sandboxes, those that others refer to first."""

OTHERWISE = {
    ("sandbox", "name"): "'copy-' || gen_random_uuid()",
    ("sandbox", "is_default"): "false",
    ("job", "due_at"): "created_at",
}
"""The columns that are not copied, and what is in their place."""


TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00")
ITS_OWN = (
    *("sandbox_id", "config_version", "position", "tx", "seq", "entry_id", "correlation_id", "folder"),
    *("lease", "attempt", "attempts", "due_at", "claimed_at"),
)
"""Columns that differ between copies, or with the attempts of a job; and others of some tables, below."""
NAMES = {"sandbox": ("name",)}


SORT = statement("cluster")
"""Rewrites in the order of their keys the tables that TAKE_IN_ORDER has named."""

TAKE_IN_ORDER = statement("""
    do $$
    declare taken text;
    begin
      foreach taken in array array['event', 'event_resend', 'record', 'tie'] loop
        if not exists (select from pg_extension where extname = 'citus') then  -- whose nodes answer in any order
          execute format('alter table gateway.%I cluster on %I', taken, taken || '_pkey');
        end if;
      end loop;
      execute format('alter database %I set enable_seqscan = off', current_database());
      execute format('alter database %I set enable_bitmapscan = off', current_database());
    end $$""")
"""Lets connections to come find by indexes alone the rows that removals take some of. Rows of equal keys are found as they lie on disk: SORT does that.

In another order a removal ends with the same facts and people, but tells followers of other steps on the way.
"""


async def copies(db: Database, sandbox_id: int, count: int) -> list[int]:
    """Copy a sandbox so often, with its xids and all ids but its own; what was done in it is not in the log of a copy.

    Jobs take the rows of all copies in one order, in a database for which TAKE_IN_ORDER was run.
    """
    ids: list[int] = []
    for table, columns in await db.rows(TABLES):
        names = ", ".join(columns)
        values = ", ".join(OTHERWISE.get((table, column), column) for column in columns)
        if table == "sandbox":
            copy = f"insert into gateway.sandbox ({names}) select {values} from gateway.sandbox, generate_series(1, $2) where sandbox_id = $1 returning sandbox_id"
            ids = [row["sandbox_id"] for row in await db.rows(statement(copy), sandbox_id, count)]
        elif table != "audit_entry":
            copy = f"insert into gateway.{table} (sandbox_id, {names}) select id, {values} from gateway.{table}, unnest($2::bigint[]) id where sandbox_id = $1"
            await db.rows(statement(copy), sandbox_id, ids)
    await db.rows(SORT)
    return ids


async def contents(db: Database, sandbox_ids: Sequence[int]) -> dict[int, Counter[str]]:
    """Return the rows of all tables by sandbox, without jobs that nobody has begun, and without what tells of attempts.

    Times when jobs were done look the same.
    """
    now, found = datetime.now(UTC), {one: Counter[str]() for one in sandbox_ids}
    for table, _ in await db.rows(TABLES):
        begun = "and (status <> 'NEW' or started_at is not null)" if table == "job" else ""
        rows = statement(
            f"select sandbox_id, to_jsonb(t) from gateway.{table} t where sandbox_id = any($1::bigint[]) {begun}"
        )
        left_out = {*ITS_OWN, *NAMES.get(table, ())}
        for sandbox_id, row in await db.rows(rows, list(sandbox_ids)):
            kept = {name: value for name, value in orjson.loads(row).items() if name not in left_out}
            if kept.get("path") == MANIFEST:
                del kept["sha256"]  # it tells the instant
            if isinstance(kept.get("cursor"), dict):
                kept["cursor"].pop("position", None)  # of an export that has taken its instant
            text = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode()
            text = TIME.sub(lambda time: time[0] if datetime.fromisoformat(time[0]) <= now else "later", text)
            found[sandbox_id][f"{table} {text}"] += 1
    return found


def differences(found: Counter[str], expected: Counter[str]) -> list[str]:
    """Return the rows that only one of them has, those that are missing with a minus."""
    return [*(found - expected), *(f"- {row}" for row in expected - found)]
