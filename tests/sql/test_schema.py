"""The schema keeps its own rules: keys start with the sandbox, no triggers, and enumerations are constraints."""

import re

import asyncpg
import pytest
from public_names import ROOT

from gateway.domain.config.computed_attributes import AttributeStatus
from gateway.domain.config.datasets import DatasetStatus
from gateway.domain.config.policies import IdentityGraphType, PolicyStatus
from gateway.domain.config.projection_destinations import ReplicationPolicy
from gateway.domain.config.search_indexes import IndexedType
from gateway.domain.facts.batches import BatchStatus
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.merge import AttributeMergeType
from gateway.domain.rules.normalization import IdentityNormalization
from gateway.domain.rules.scope import SandboxType
from gateway.domain.rules.versions import Mode
from gateway.domain.views.effects import ChangeKind
from gateway.domain.views.pipeline import VIEWS
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import JobStatus
from gateway.domain.work.stores import STORES, StoreKind
from gateway.errors import CONSTRAINTS
from gateway.pql.aggregates import AggregateFunction
from gateway.xdm.classes import XdmClass
from gateway.xdm.violations import ViolationCode

KNOWN = {
    "sandbox.type": SandboxType,
    "namespace.id_type": IdentityType,
    "namespace.normalization": IdentityNormalization,
    "xdm_schema.class": XdmClass,
    "batch.status": BatchStatus,
    "dataset.status": DatasetStatus,
    "ingest_error.codes": ViolationCode,
    "ingestion_warning.code": ViolationCode,
    "record.mode": Mode,
    "merge_policy.class": XdmClass,
    "merge_policy.identity_graph": IdentityGraphType,
    "kept_attribute.identity_graph": IdentityGraphType,
    "kept_value.identity_graph": IdentityGraphType,
    "merge_policy.merge_type": AttributeMergeType,
    "merge_policy.status": PolicyStatus,
    "computed_attribute.class": XdmClass,
    "computed_attribute.merge_function": AggregateFunction,
    "computed_attribute.status": AttributeStatus,
    "projection_destination.replication_policy": ReplicationPolicy,
    "change.kind": ChangeKind,
    "search_index.type": IndexedType,
    "job.kind": JobKind,
    "job.status": JobStatus,
}
"""Columns that hold a few words only, with the enumeration of these words."""

FREE = {
    *("organization.code", "organization.name", "sandbox.name", "sandbox.title", "api_key.name", "migration.name"),
    *("namespace.code", "namespace.name", "namespace.description", "xdm_schema.title", "xdm_schema.field_groups"),
    *("dataset.name", "dataset.description", "batch.key", "batch.created_by", "merge_policy.name"),
    *("job.error", "job.created_by", "search_index.path", "search_index.created_by"),
    *("export_person.document", "export_file.path", "export_file.folder", "export_file.sha256"),
    *("data_center.data_center", "data_center.error", "delivery.data_center", "delivery.position"),
    *(f"configuration_delivery.{column}" for column in ("data_center", "error")),
    "withdrawn_projection.data_center",
    *(f"computed_attribute.{column}" for column in ("name", "display_name", "description", "expression", "lookback")),
    *(f"computed_attribute.{column}" for column in ("return_type", "dependencies", "created_by")),
    *("signing_key.key_id", "projection_destination.data_centers", "projection_destination.created_by"),
    *(f"projection_configuration.{column}" for column in ("name", "selector", "paths", "created_by")),
    *(f"projection_configuration.event_{column}" for column in ("selector", "within", "where")),
    *("identity.value", "event.event_id", "event.event_type", "event_resend.event_id"),
    *("ingest_error.paths", "ingest_error.messages", "ingestion_warning.message"),
    *(
        "sandbox.created_by",
        "namespace.created_by",
        "xdm_schema.created_by",
        "dataset.created_by",
        "merge_policy.created_by",
    ),
    "identity_settings.updated_by",
    *("audit_entry.actor", "audit_entry.action", "audit_entry.correlation_id"),
    *("audit_entry.subject_type", "audit_entry.subject_key", "api_key.prefix", "api_key.created_by"),
}
"""Columns that hold any text."""


@pytest.fixture
async def connection(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def test_each_table_is_said_to_be_a_fact_a_view_configuration_or_work(connection):
    """The story at the head of the schema names every table once, and as views those that a view of the pipeline writes."""
    story = (ROOT / "sql/schema/00_gateway.sql").read_text("utf-8").partition("create schema")[0]
    facts, views = re.findall(r"^-- (?:Facts|Views) .*\n--\n((?:--   .*\n)+)", story, re.MULTILINE)
    others = re.findall(r"(?:Configuration|Work|Of the database itself): ([^.]*)\.", story)
    named = [re.findall(r"^--   (\w+)", part, re.MULTILINE) for part in (facts, views)]
    named += [re.findall(r"\w+", part) for part in others]
    rows = await connection.fetch("""
        select relname from pg_class
         where relnamespace = 'gateway'::regnamespace and relkind = 'r'
    """)
    assert sorted(table for part in named for table in part) == sorted(row["relname"] for row in rows)
    kinds = (StoreKind.FACT, StoreKind.VIEW, StoreKind.CONFIGURATION, StoreKind.WORK, StoreKind.DATABASE)
    assert [set(part) for part in named] == [{one.table for one in STORES if one.kind is kind} for kind in kinds]
    assert sorted(named[1]) == sorted(table for view in VIEWS for table in view.tables)


async def test_every_key_of_a_sandbox_starts_with_the_sandbox(connection):
    rows = await connection.fetch("""
        select c.relname as table, i.relname as index, a.attname as first
          from pg_index x
          join pg_class c on c.oid = x.indrelid
          join pg_class i on i.oid = x.indexrelid
          join pg_namespace n on n.oid = c.relnamespace
          join pg_attribute a on a.attrelid = c.oid and a.attnum = x.indkey[0]
         where n.nspname = 'gateway'
           and exists (select from pg_attribute s where s.attrelid = c.oid and s.attname = 'sandbox_id')
    """)
    elsewhere = {row["index"] for row in rows if row["first"] != "sandbox_id"}
    assert elsewhere == {
        "ingest_error_xids_idx",  # an xid is of one sandbox
        *("sandbox_name_key", "sandbox_default_key", "job_due_idx"),  # a worker serves every sandbox
        *(
            "audit_entry_pkey",
            "audit_entry_at_idx",
            "audit_entry_subject_idx",
        ),  # read over all sandboxes, and outlive them
    }


async def test_no_table_has_a_trigger_of_ours(connection):
    triggers = await connection.fetch("""
        select tgname from pg_trigger join pg_class c on c.oid = tgrelid where relnamespace = 'gateway'::regnamespace and not tgisinternal
    """)
    assert triggers == []


async def test_the_time_of_the_database_can_be_set(connection):
    await connection.execute("set gateway.now = '2026-01-02T03:04:05Z'")
    assert (await connection.fetchval("select gateway.now()")).isoformat() == "2026-01-02T03:04:05+00:00"
    await connection.execute("reset gateway.now")
    assert await connection.fetchval("select gateway.now() - clock_timestamp() < interval '1 minute'")


async def test_a_column_with_an_enumeration_is_constrained_to_its_words(connection):
    """Every text column is listed above as free or known; a known one has a constraint that lists its enumeration."""
    rows = await connection.fetch("""
        select c.relname || '.' || a.attname as column, x.conname as name, pg_get_constraintdef(x.oid) as definition
          from pg_class c
          join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          left join pg_constraint x on x.conrelid = c.oid and x.contype = 'c' and x.conkey = array[a.attnum]
           and x.conname like '%\\_known'
         where c.relnamespace = 'gateway'::regnamespace and c.relkind = 'r'
           and a.atttypid in ('text'::regtype, 'text[]'::regtype, 'varchar'::regtype)
    """)
    assert {row["column"] for row in rows} == KNOWN.keys() | FREE
    for row in rows:
        if row["column"] in KNOWN:
            assert row["name"] == row["column"].replace(".", "_") + "_known"
            words = {one.value for one in KNOWN[row["column"]]}
            assert set(re.findall(r"'([^']*)'::text", row["definition"])) == words, row["column"]


async def test_each_constraint_that_a_caller_can_violate_has_an_error_message(connection):
    """No message is left for a constraint that is gone. Writers retry when a key of facts is violated, and some constraints only we can violate."""
    rows = await connection.fetch("""
        select c.relname as table, x.conname as name from pg_constraint x join pg_class c on c.oid = x.conrelid
         where x.connamespace = 'gateway'::regnamespace and x.contype in ('u', 'f', 'c', 'x')
        union all
        select c.relname, i.relname from pg_index x join pg_class c on c.oid = x.indrelid
          join pg_class i on i.oid = x.indexrelid
         where c.relnamespace = 'gateway'::regnamespace and x.indisunique and not x.indisprimary
           and not exists (select from pg_constraint where conindid = x.indexrelid)
    """)
    names = {row["name"] for row in rows}
    ours = {name for name in names if name.endswith("_known")} | {
        "sandbox_secret_size",
        "sandbox_default_key",
        "job_open_key",
        "computed_attribute_slot_key",
        "projection_configuration_events_whole",
        "projection_destination_data_centers_some",
        "projection_destination_ttl_bounded",
        "signing_key_public_key_size",
        "batch_key_key",
        "change_profile_id_given",
        "api_key_id_key",
        *("delivery_sandbox_id_fkey", "configuration_delivery_sandbox_id_configuration_id_fkey"),
        "withdrawn_projection_sandbox_id_job_id_fkey",
    }
    assert names - ours == CONSTRAINTS.keys()
