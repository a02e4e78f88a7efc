"""No statement reads a large table from end to end: on tables without statistics too, as they are after the first start.

The plan is the generic one, which a prepared statement settles on. A sandbox's rows are found by an index whose first column is
sandbox_id; what a statement walks is said in its comment, and held against the plan.
"""

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest

from gateway.domain.config import api_keys
from gateway.domain.config.attribute_expressions import make_programs
from gateway.domain.config.attribute_programs import Definition, Unions, in_order
from gateway.domain.config.configuration import KeptPartial
from gateway.domain.config.policies import IdentityGraphType
from gateway.domain.facts import batch_lists, ingest_errors
from gateway.domain.operations import erased_identities, erasure
from gateway.domain.operations.removal import REMOVAL_PARTS
from gateway.domain.reading import (
    computed_partials,
    events,
    people_statements,
    person_values,
    previews,
    search_statements,
)
from gateway.domain.reading.events import EventFilter, EventOrder, EventRequest
from gateway.domain.rules.buckets import size_of_buckets
from gateway.domain.rules.durations import Duration
from gateway.domain.rules.keyset import Window
from gateway.domain.views import partial_statements
from gateway.domain.work import audit, job_lists
from gateway.projection.predicates import Predicate, Values
from gateway.projection.tree import (
    Computed,
    Count,
    Document,
    Each,
    End,
    HasMore,
    Items,
    Leaf,
    Object,
    Packed,
    Packing,
    Page,
    Projection,
    Under,
)
from gateway.storage.queries import all_queries, fill, part
from gateway.xdm.classes import XdmClass, compose

LARGE = (
    *(
        "identity",
        "graph",
        "tie",
        "record",
        "fragment",
        "profile",
        "computed_partial",
        "event",
        "event_resend",
        "change",
    ),
    *("ingest_error", "audit_entry", "revocation", "export_person", "export_identity"),
)
WHOLE_SANDBOX = re.compile(
    r"^tenants\.empty_|^maintenance\.|^search_candidates\.find_"
)  # about all rows, whatever way is shortest; or by indexes that a job makes: tests/pql/test_indexes.py
FIELDS = (("a", Under("a", Leaf("String"))), ("b", Under("b", Items(Object((("c", Under("c", Leaf("Int"))),))))))
ENTITY = Document(Object(FIELDS))
VALUES = Computed(Object((("last", Under("last", Leaf("String"))), ("above", Under("above", Leaf("Float"))))))
WITH_VALUES = Document(Object((*FIELDS, ("own", Under("own", Object((("values", Under("values", VALUES)),)))))))
ROWS = EventRequest(EventFilter(), EventOrder(descending=True), Window(10)).rows(Packed("", (("xid", Packing.UUID),)))
PAGE = Page(ROWS, Object((("nodes", Each(ENTITY)), ("on", HasMore(behind=True)), ("last", End(is_first=False)))))
PERSON = Projection(
    (Object((("entity", WITH_VALUES), ("events", PAGE), ("count", Count(ROWS)))),), frozenset({"person", "document"})
)
PROFILE, EVENT = (
    compose(each, None, None, "acme") for each in (XdmClass.INDIVIDUAL_PROFILE, XdmClass.EXPERIENCE_EVENT)
)
UNIONS = Unions("acme", PROFILE, EVENT)
AGGREGATIONS = {
    "last": ("xEvent.topN(timestamp, 1).head().eventType", None),
    "spent": ("xEvent.sum(commerce.order.priceTotal)", Duration(30, "D")),
    "byKind": ("xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.max(timestamp)))", None),
    "some": ("xEvent.topN(timestamp, 5).map(eventType)", Duration(30, "D")),
}
PUBLISHED = make_programs(
    UNIONS,
    [
        Definition(name, text, XdmClass.INDIVIDUAL_PROFILE, lookback)
        for name, (text, lookback) in {
            **AGGREGATIONS,
            "many": ("xEvent.topN(timestamp, 30).map(eventType)", None),
            "above": ("_acme.ComputedAttributes.spent + 1", None),
        }.items()
    ],
).programs
KEPT = tuple(
    KeptPartial(name, slot, lookback, size_of_buckets(lookback), PUBLISHED[name].partial, is_complete=True)
    for slot, (name, (_, lookback)) in enumerate(AGGREGATIONS.items())
)
COMPUTABLE = person_values.Computable(
    1,
    1,
    tuple(PUBLISHED),
    tuple(in_order(PUBLISHED, PUBLISHED)),
    KEPT,
    {"many": None, **{name: lookback for name, (_, lookback) in AGGREGATIONS.items()}},
    (),
)
PARTIALS = {
    "computed_partials.fold": computed_partials.folding,
    "computed_partials.add_events": partial_statements.adding,
    "computed_partials.make_some": partial_statements.making,
    "computed_partials.make_held": partial_statements.making_held,
    "computed_partials.compare": partial_statements.comparing,
}
"""What fills statements about partials."""
WHERE = Predicate("(kept.document ->> 'a') = {0} and g.xids is not null", ("a",))
PARTS = {
    "with_identities": part("export_jobs.with_identities"),
    "columns": "1",
    "where": "",
    "carried": "e.*",
    "taken": "e.document::text",
    "unpacked": "",
    "direction": "desc",
    "between": "",
    "order": "1",
    "cells": "key",
    "table": "gateway.batch",
    "sandbox": "sandbox_id",
    "lock": "for update",
    "among": "",
    "event": part("over_events.event"),
    "nearest": "e.timestamp desc, e.event_id desc fetch first ($3) rows with ties",
    "tied": part("erasure.tied"),
    "named": part("erasure.named_in_changes"),
    **{
        name: fill(part(f"identities.{name}"), identity="i", among="")
        for name in ("is_primary", "first_at", "last_at", "sightings")
    },
    **REMOVAL_PARTS,
    "held": part("resends.held"),
    "expired": part("event_retention.expired"),
    "entry": part("audit.entry"),
    "covered": part("audit.covered"),
}
"""What is put into braces of other statements."""
PASSING = {
    name: fill(part("audit.passing"), covered=PARTS["covered"], subject=part(f"audit.{name}"))
    for name in ("of_any", "of_subject")
}
SEARCHED = {
    "key": "profile_id",
    "table": "graph",
    "columns": "k.profile_id, kept.document",
    "people": part("search.graphs"),
    "profile": fill(part("search.profile_of_cluster"), key="profile_id", policy="null"),
    "where": "and " + WHERE.sql.format("'a'"),
    "direction": "asc",
}
"""Of a search on a cluster."""
OWN = {
    "identities.read_identities": {"is_asked": part("identities.is_any")},
    "people.read_people_by_id": {"columns": "g.xids, p.document", "is_asked": part("people.is_any")},
    "graph_vanishing.drop_vanished": {"vanished": part("graph_vanishing.vanished")},
    "erasure_redaction.read_versions": {"versions": part("erasure_redaction.by_record")},
    "kept_values.forget_people": {"lock": "for update of v"},
    **dict.fromkeys(("search.find_edge", "search.list_between", "search.count_between"), SEARCHED),
}
"""What is put into the braces of one statement alone."""


def filled(statement):
    """A statement as it is run, and the number of values behind its own parameters."""
    if statement.name in {
        "people.read_people",
        "people.read_texts",
        "people.list_people",
        "export_jobs.keep_next_people",
    }:
        made = people_statements.statement_of(PERSON, statement, "desc", (), COMPUTABLE)
        return made.query.sql, len(made.values)
    if statement.name == "events.list_events":
        asked = EventRequest(EventFilter(), EventOrder(descending=True), Window(10))
        made = events.list_statement(asked, Projection((ENTITY,), frozenset()), Values(*[None] * 4))
        return made.query.sql, len(made.values) - 4
    if statement.name == "events.read_lists":
        made = events.lists_statement(Projection((PAGE, Count(ROWS)), frozenset()))
        return made.query.sql, len(made.values)
    if statement.name in {"search.find_people", "search.count_people"}:
        made = search_statements.statement_of(statement, IdentityGraphType.PDG, [WHERE], backward=False)
        return made.query.sql, len(made.values)
    if statement.name == "removal.list_remaining_people":
        selected = erasure.facts_of([], datetime.now(UTC))
        return selected.list_remaining.sql, len(selected.arguments)
    if statement.name in PARTIALS:
        made, values = PARTIALS[statement.name](KEPT)
        return made.sql, len(values)
    if statement is previews.COUNT_PEOPLE:
        return previews.COUNTING[IdentityGraphType.PDG].sql, 0
    return statement.filled(**_parts(statement)).sql, 0


def _parts(statement):
    return PARTS | {"passing": PASSING["of_any"]} | OWN.get(statement.name, {})


ORDERS = {
    "api_keys.list_api_keys": api_keys.NEWEST_FIRST,
    "audit.list_entries": audit.NEWEST_FIRST,
    "batch_lists.list_batches": batch_lists.NEWEST_FIRST.columns,
    "batch_lists.list_batches_of_datasets": batch_lists.NEWEST_FIRST.columns,
    "erased_identities.list_erased": erased_identities.NEWEST_FIRST,
    "ingest_errors.list_errors": ingest_errors.BY_ARRIVAL,
    "job_lists.list_jobs": job_lists.NEWEST_FIRST.columns,
}
"""Of statements that read a list page by page: the order whose index their comments name."""
STATEMENTS = [
    statement
    for statement in all_queries()
    if statement.name in ORDERS
    or (any(f"gateway.{table}" in statement.sql for table in LARGE) and not WHOLE_SANDBOX.match(statement.name))
]


async def plan_of(generic_plan, statement):
    text, bounds = (statement.with_rows(1), 0) if statement.columns else filled(statement)
    if (order := ORDERS.get(statement.name)) is not None:
        key = (
            None if statement.name.startswith("batch_lists.") else (None,) * len(order.columns)
        )  # else parameters bound it
        parts = {name: text for name, text in _parts(statement).items() if name in {"entry", "passing", "owner"}}
        page, values = statement.page(order.columns, after=key, before=key, descending=order.descending, **parts)
        text, bounds = page.sql, len(values)
    return await generic_plan(text, len(statement.parameters) + len(statement.columns) + bounds)


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
async def test_no_large_table_is_read_from_end_to_end(generic_plan, statement):
    plan = await plan_of(generic_plan, statement)
    read_whole = re.findall(r"Seq Scan on (\w+) ", plan + " ")
    assert not set(read_whole) & set(LARGE), plan


@pytest.mark.parametrize("statement", [audit.LIST, audit.COUNT], ids=lambda statement: statement.name)
async def test_entries_about_one_subject_are_found_by_the_index_of_subjects(generic_plan, statement):
    text = statement.filled(**PARTS | {"passing": PASSING["of_subject"], "order": "at"}).sql
    assert "using audit_entry_subject_idx" in await generic_plan(text, len(statement.parameters))


@pytest.mark.parametrize("candidates", [None, [UUID(int=1)]], ids=["everybody", "candidates"])
@pytest.mark.parametrize("graph", IdentityGraphType)
async def test_a_search_walks_the_key_of_its_people_in_the_order_of_the_page(generic_plan, graph, candidates):
    key = "graph_pkey" if graph is IdentityGraphType.PDG else "identity_pkey"
    for backward in (False, True):
        made = search_statements.statement_of(search_statements.FIND, graph, [WHERE], candidates, backward=backward)
        plan = await generic_plan(made.query.sql, len(search_statements.FIND.parameters) + len(made.values))
        assert f"Scan {'Backward ' if backward else ''}using {key}" in plan, plan
        assert not set(re.findall(r"Seq Scan on (\w+) ", plan + " ")) & set(LARGE), plan


@pytest.mark.parametrize(
    "statement", [one for one in STATEMENTS if one.name in ORDERS], ids=lambda statement: statement.name
)
async def test_a_page_of_a_list_is_entered_at_its_cursor_and_left_where_it_is_full(generic_plan, statement):
    """Nothing below the limit is sorted, and either end has one bound: of two the index would be entered by any."""
    _, _, below = (await plan_of(generic_plan, statement)).partition("Limit")
    assert "Sort" not in below
    (bounds,) = [condition for condition in re.findall("Index Cond: (.*)", below) if re.search(" [<>] ", condition)]
    assert (bounds.count(" > "), bounds.count(" < ")) == (1, 1), bounds


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
async def test_the_comment_names_the_index_that_is_walked(generic_plan, statement):
    named = set(re.findall(r"\b\w+_(?:pkey|idx|key)\b", statement.doc))
    plan = await plan_of(generic_plan, statement)
    walked = set(re.findall(r"(?:using|Index Scan on|Index Only Scan on) (\w+)", plan))
    missing = {index for index in named if not any(similar(index, one) for one in walked)}
    assert not missing or "insert into" in statement.sql, f"{missing} of {walked}\n{plan}"


def similar(index, walked):
    """Tell whether `walked` is `index`, or one of its table that costs the same while that is empty: of the same kind, or of events by identity."""
    table = index.rsplit("_", 2)[0] if index.endswith(("_idx", "_key")) else index.removesuffix("_pkey")
    is_alike = walked.startswith(f"{table}_") and walked.endswith(index.rsplit("_", 1)[1])
    return walked == index or is_alike or {index, walked} == {"event_pkey", "event_timeline_idx"}
