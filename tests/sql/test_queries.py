"""Each named statement is prepared against the real schema: none can be stale, and each declares the parameters it has."""

import re
from datetime import UTC, date, datetime, timedelta
from difflib import SequenceMatcher
from uuid import UUID

import asyncpg
import pytest

from gateway.domain.operations.removal import REMOVAL_PARTS
from gateway.domain.views import partial_statements
from gateway.storage.distribution import AMONG
from gateway.storage.queries import EDGE, GATEWAY, Query, Template, all_queries, fill, part, query, template

MADE = fill(part("computed_partials.of_size"), seconds="0", bucket="t.timestamp", counts="true", since="", numbers="'{}'::numeric[]", items="'{}'::jsonb[]")  # fmt: skip
PARTS = {
    "columns": "1", "is_current": "true", "text": "'{}'::text", "keys": fill(part("people.keys"), arrays="", names=""), "graph": "", "profile": "", "owner": "e",
    "where": "", "nearest": "e.timestamp limit $3", "page": "from gateway.event e", "direction": "asc", "carried": "e.*", "taken": "e.document::text", "unpacked": "", "between": "", "order": "1",
    "is_primary": "true", "modified_at": part("people.modified_at"), "first_at": "now()", "last_at": "now()", "sightings": "",
    "cells": "key", "table": "gateway.batch", "sandbox": "sandbox_id", "value": "null::jsonb",
    "name": "search_1", "of": "sandbox_id = 1", "condition": "true", "subject": "xid", "identity": "",
    "in_order": "", "indexed": "sandbox_id",
    "computed": "", "events": "", "kept": part("kept_values.graphs"), "people": part("search.graphs"), "key": "profile_id", "low": "$4", "high": "$5", "is_kept": part("people.is_current"),
    "reach": fill(part("search.reach"), key="profile_id", table="graph", end="$5", direction="asc"),
    "staying_tie": "true", "tied": part("erasure.tied"), "named": part("erasure.named_in_changes"), "is_over": fill(part("export_jobs.is_over"), at="(select gateway.now())"), **REMOVAL_PARTS, "made": MADE,
    "numbers": "when 0 then p.numbers", "items": "when 0 then p.items", "stored_items": "p.items",
    "document": "", "since": "", "lock": "for update", "of_xids": fill(part("computed_partials.of_xids"), columns="1", document="", within="", limit="offset 0", made=MADE), "is_used": "true",
    "held": "", "with_identities": part("export_jobs.with_identities"), "expired": part("event_retention.expired"), "entry": "entry_id", "covered": part("audit.covered"),
    "passing": fill(part("audit.passing"), covered=part("audit.covered"), subject=part("audit.of_subject")),
    "among": AMONG[True], "event": part("over_events.event"), "folded": "select $1::bigint", "is_known": fill(part("computed_partials.is_known"), version="$7"),
}  # fmt: skip  # what stands in braces, where nothing special is asked for
SINCE = MADE.replace("(true)", "(true) and t.timestamp >= ($5::timestamptz[])[1]")
WITHIN = {"of_xids": fill(part("computed_partials.of_xids"), columns="1", document="", within=partial_statements.WITHIN, limit="offset 0", made=MADE)}  # fmt: skip
OWN = {
    "computed_partials.add_events": {"made": SINCE},
    "computed_partials.compare": {
        "items": "made.items",
        "of_xids": PARTS["of_xids"].replace("(true)", "(true and t.timestamp >= ($3::timestamptz[])[1])"),
    },
    "computed_partials.make_held": WITHIN,
    "computed_partials.fold": {"since": ", ($6::timestamptz[])[1] as since1"},
    "graph_vanishing.drop_vanished": {"vanished": part("graph_vanishing.vanished")},
    "erasure_redaction.read_versions": {"versions": part("erasure_redaction.by_record")},
    "identities.read_identities": {"is_asked": part("identities.is_any")},
    "people.read_people_by_id": {"is_asked": part("people.is_any")},
    "kept_values.forget_people": {"lock": "for update of v"},
    "export_jobs.keep_next_people": {"profile": part("people.profile"), "events": ""},
    "export_jobs.list_due_files": {"is_over": fill(part("export_jobs.is_over"), at="$2")},
    "export_jobs.list_files_of_people": {"holds": part("export_jobs.holds")},
    "export_jobs.withdraw_files": {"holds": part("export_jobs.holds")},
    "export_subjects.list_export_files": {"holds": part("export_jobs.holds")},
    "previews.count_people": {
        "person": "i.profile_id",
        "members": part("previews.graphs"),
        "numbered_datasets": fill(part("previews.numbered"), key="dataset_id"),
        "numbered_namespaces": fill(part("previews.numbered"), key="namespace_id"),
    },
    "computed_partials.make_some": WITHIN,
    "search.find_edge": {"table": "graph"},
}
"""What stands in the braces of one statement alone."""


@pytest.fixture(scope="module")
async def connection(module_dsn):
    """One for all: nothing is changed through it."""
    connection = await asyncpg.connect(module_dsn)
    yield connection
    await connection.close()


@pytest.mark.parametrize("statement", all_queries(), ids=lambda statement: statement.name)
async def test_the_statement_fits_the_schema(connection, statement):
    text = statement.with_rows(1) if statement.columns else statement.filled(**PARTS | OWN.get(statement.name, {})).sql
    prepared = await connection.prepare(text)
    assert len(prepared.get_parameters()) == len(statement.parameters) + len(statement.columns)
    assert bool(prepared.get_attributes()) == (statement.shape != "none")


def test_statements_say_what_comes_back():
    assert [statement.name for statement in all_queries() if not statement.doc.endswith((".", ";"))] == []


MAX_EQUAL_LINES = 7
"""Of two statements, one after the other: what more of them share is a part of both."""


def lines_of(sql):
    """The lines of a statement without indentation, numbers of parameters and what separates them from the next."""
    lines = (re.sub(r"\$\d+", "$", " ".join(line.split())).rstrip(",;") for line in sql.splitlines())
    return [line for line in lines if line]


@pytest.mark.parametrize("folder", [GATEWAY, EDGE], ids=lambda folder: folder.schema)
def test_no_statement_stands_twice_nor_a_long_stretch_of_one(folder):
    first, twins = {}, []
    blocks = {each.name: each.sql for each in all_queries(folder)}
    for path in sorted((folder.path / "queries").glob("*.sql")):
        names = re.findall(r"^-- part: (\w+)$", path.read_text(), re.MULTILINE)
        blocks |= {f"part {path.stem}.{name}": part(f"{path.stem}.{name}", folder) for name in names}
    for name, sql in blocks.items():
        lines = lines_of(sql)
        for start in range(len(lines) - MAX_EQUAL_LINES):
            stretch = tuple(lines[start : start + MAX_EQUAL_LINES + 1])
            if (other := first.setdefault(stretch, name)) != name:
                twins.append((other, name, stretch[0]))
        whole = ("whole", *lines)
        if len(lines) > 1 and (other := first.setdefault(whole, name)) != name:
            twins.append((other, name, "all of it"))
    assert twins == []


LEAST_WORDS, MOST_ALIKE = 50, 0.9
"""Of two statements with at least so many words, so much may be equal; short ones are alike by their form."""
TWINS = {
    ("edge.sandboxes.replace_api_keys", "edge.sandboxes.replace_revocations"): "of two tables, whose keys differ",
    ("graph_rebuild.set_degree_limits", "graph_union.relink"): "two columns of identities; each takes rows",
}
"""Those that are alike, and why they are two."""


@pytest.mark.parametrize("folder", [GATEWAY, EDGE], ids=lambda folder: folder.schema)
def test_no_two_statements_are_nearly_the_same(folder):
    words = {each.name: re.findall(r"\$?\w+|[^\w\s]", each.sql) for each in all_queries(folder)}
    words = {name: own for name, own in words.items() if len(own) >= LEAST_WORDS}
    twins, matcher = set(), SequenceMatcher(autojunk=False)
    for other, theirs in words.items():
        matcher.set_seq2(theirs)
        for name, own in list(words.items())[: list(words).index(other)]:
            matcher.set_seq1(own)
            ways = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)  # each dearer than the one before
            if all(way() >= MOST_ALIKE for way in ways):
                twins.add((name, other))
    assert twins == {pair for pair in TWINS if pair[0] in words}


def test_a_misspelt_name_fails_at_once():
    with pytest.raises(KeyError):
        query("tenants.reed_sandbox")


def test_rows_are_numbered_after_the_parameters_and_typed_by_the_first():
    statement = Query("x.y", "values {rows}", ("sandbox_id",), ("xid uuid", "n integer"), "none", "Doc.")
    assert statement.with_rows(2) == "values ($2::uuid, $3::integer), ($4, $5)"


def test_a_page_is_read_between_two_keys_in_the_direction_asked_for():
    statement = Template(
        "x.y", "select a from t where x = $1 {between} order by {order}", ("sandbox_id",), (), "rows", "Doc."
    )
    ahead, values = statement.page(("t.a", "t.b"), after=(1, "x"), before=None, descending=True)
    assert ahead.sql == "select a from t where x = $1  and (t.a, t.b) < ($2, $3) order by t.a desc, t.b desc"
    assert values == [1, "x"]
    between, values = statement.page(("t.a",), after=(1,), before=(9,), descending=False)
    assert between.sql == "select a from t where x = $1  and (t.a) > ($2) and (t.a) < ($3) order by t.a asc"
    assert values == [1, 9]


@pytest.mark.parametrize(
    ("kind", "name", "noun"), [(query, "people.read_people", "template"), (template, "tenants.read_sandbox", "query")]
)
def test_a_statement_with_words_in_braces_is_no_query_and_one_without_is_no_template(kind, name, noun):
    with pytest.raises(TypeError, match=f"{name} has .* it is a {noun}"):
        kind(name)


def test_words_in_braces_are_filled_in_once_and_kept():
    statement = Template("x.y", "select {document} || '{}' from t", ("sandbox_id",), (), "rows", "Doc.")
    filled = statement.filled(document="'{rows}'")
    assert filled.sql == "select '{rows}' || '{}' from t"
    assert statement.filled(document="'{rows}'") is filled
    with pytest.raises(KeyError):
        statement.filled(other="")


# ------------------------------------------------------------------------------------------------ on a cluster

LATERAL = "its LATERAL with a limit is driven from values, or joins recurring rows; another statement is run there"
LOCKS = "it locks rows of several nodes; there everybody else is kept out"
PARTIALS = "no attribute has partials there"
NOT_YET = {
    "batch_removal.remove_events_concurrently": LOCKS,
    "computed_partials.add_events": PARTIALS,
    "computed_partials.expire_partials": PARTIALS,
    "computed_partials.list_buckets": PARTIALS,
    "erasure.remove_events_concurrently": LOCKS,
    "erasure_redaction.read_events": LATERAL,
    "erasure_redaction.read_versions": LATERAL,
    "event_retention.remove_events_concurrently": LOCKS,
    "export_jobs.keep_next_people": LATERAL,
    "graph_vanishing.drop_vanished": LATERAL,
    "kept_values.read_edges": LATERAL,
    "maintenance.see_snapshot": "a transaction there writes by one connection to each node",
    "people.read_people": LATERAL,
    "people.read_texts": LATERAL,
    "removal.list_remaining_people": LOCKS,
    "resends.find_events": LATERAL,
    "search.count_people": LATERAL,
    "search_indexing.forget_statistics": "it is about an index, of which there is none yet",
    "search.find_people": LATERAL,
}
"""What the cluster refuses, and why nothing misses it, or what is to be done."""

EVERYWHERE = {
    "it goes by hundreds of keys, which lie on all nodes": {"events.list_by_key", "events.list_lines"},
    "it begins a snapshot's part on each node": {"locks.reach_nodes"},
    "it is about everybody of the sandbox": {
        "attribute_backfill.list_xids", "computed_partials.list_partials", "erased_identities.list_erased",
        "erased_identities.count_erased", "event_retention.find_identities", "graph_rebuild.list_graphs", "kept_values.list_people_after",
        "kept_values.find_due", "kept_values.list_values", "kept_values.drop_values", "namespaces.list_namespaces_of_erased", "people.list_people",
        "people.list_ids", "people.count_people", "people.list_primaries", "people.count_primaries", "policies.has_records",
        "search.find_edge", "search.list_between", "search.count_between", "policy_materialization.lock_people", "policy_materialization.delete_profiles_after", "previews.count_people", "previews.count_data", "search_candidates.find_people",
        "search_candidates.find_by_events", "search_candidates.has_people", "tenants.empty_identity", "tenants.empty_identity_of_erased",
        "tenants.empty_graph", "tenants.empty_tie", "tenants.empty_record", "tenants.empty_fragment", "tenants.empty_profile",
        "tenants.empty_computed_partial", "tenants.empty_kept_value", "tenants.empty_event", "tenants.empty_event_resend",
        "verification.list_identities", "verification.list_values", "verification.list_graphs", "verification.list_fragments",
        "verification.list_profiles", "verification.find_stray_policy", "version_retention.find_last", "version_retention.list_versions",
    },
    "it goes by batches, whose facts are of anybody": {
        "batch_removal.count_facts", "batch_removal.remove_resends", "batch_removal.find_identities_with_events", "batch_removal.find_events",
        "batch_removal.find_records", "batch_removal.find_ties", "batch_removal.remove_records", "batch_removal.remove_ties",
        "batches.complete_batches", "verification.count_facts_of_batches",
    },
    "it goes by keys that it finds first": {
        "export_subjects.list_resends", "computed_partials.empty_changed", "erasure.read_unfinished", "erasure.list_marked", "erasure.count_facts", "erasure.count_related",
        "erasure.remove_resends", "erasure.remove_records", "erasure.remove_ties", "erasure.find_former_ids", "erasure.forget_changes", "erasure_redaction.take_out_of_ties",
        "erasure_verification.find_traces", "event_retention.remove_resends", "event_retention.remove_ties", "kept_values.remove_values",
        "kept_values.forget_people", "kept_values.count_values", "profile_retention.list_expired", "profile_retention.remove_ties",
        "resends.find_naming_events",
    },
    "it repeats no key where another table is looked into: to be written anew, or not run there": {
        "events.list_events", "fragments.read_states", "graph_rebuild.named_by_facts", "graph_union.note_first_events",
        "profiles.read_fragments", "removal.remove_events", "resends.take_successors", "resends.take_events", "verification.list_stray_resends",
        "version_retention.remove_versions",
    },
}  # fmt: skip
"""Statements that ask every node though they are given one key of each kind, by the reason why."""

SAMPLES = {
    "uuid": UUID(int=2**64),
    "int8": 1,
    "int4": 1,
    "int2": 1,
    "text": "1",
    "name": "gateway",
    "json": "{}",
    "jsonb": "{}",
    "bool": True,
    "timestamptz": datetime(2026, 1, 1, tzinfo=UTC),
    "bytea": b"1",
    "numeric": 1,
    "interval": timedelta(1),
    "pg_snapshot": (1, 1, ()),
    "xid8": 1,
    "float8": 1.0,
    "date": date(2026, 1, 1),
}


def sample(kind):
    return [SAMPLES[kind.removesuffix("[]")]] if kind.endswith("[]") else SAMPLES[kind]


async def is_refused(connection, statement):
    """Run a statement with values of its types, without a trace; an error about the values says that it can be run."""
    parts = {**PARTS, **OWN.get(statement.name, {}), "lock": ""}
    text = statement.with_rows(1) if statement.columns else statement.filled(**parts).sql
    transaction = connection.transaction()
    await transaction.start()
    try:
        prepared = await connection.prepare(text)
        await prepared.fetch(*(sample(each.name) for each in prepared.get_parameters()))
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.ActiveSQLTransactionError):
        return False
    except asyncpg.PostgresError:
        return True
    finally:
        await transaction.rollback()
    return False


@pytest.mark.needs_cluster
async def test_a_cluster_refuses_no_statement_but_those_that_are_listed(module_dsn):
    settings = {"jit": "off", "search_path": "gateway"}
    connection = await asyncpg.connect(module_dsn, statement_cache_size=0, server_settings=settings)
    refused = {each.name for each in all_queries() if await is_refused(connection, each)}
    await connection.close()
    assert refused == set(NOT_YET)


async def tasks_of(connection, statement):
    """For how many shards each part of a statement's plan runs, given one key of each kind; none where it cannot be planned apart."""
    parts = {**PARTS, **OWN.get(statement.name, {}), "lock": ""}
    text = statement.with_rows(1) if statement.columns else statement.filled(**parts).sql
    try:
        prepared = await connection.prepare(text)
        values = [sample(each.name) for each in prepared.get_parameters()]
        plan = await connection.fetch(f"explain (costs off) {text}", *values)
    except asyncpg.PostgresError:
        return []
    return [int(count) for row in plan for count in re.findall(r"Task Count: (\d+)", row[0])]


@pytest.mark.needs_cluster
async def test_a_statement_about_one_key_asks_one_node_or_stands_in_the_list_with_the_reason(module_dsn):
    settings = {"jit": "off", "search_path": "gateway"}
    connection = await asyncpg.connect(module_dsn, statement_cache_size=0, server_settings=settings)
    asked = {each.name: await tasks_of(connection, each) for each in all_queries() if each.name not in NOT_YET}
    await connection.close()
    listed = set().union(*EVERYWHERE.values()) - set(NOT_YET)
    assert {name for name, counts in asked.items() if max(counts, default=0) > 1} == listed
