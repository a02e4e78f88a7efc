"""What is left of documents that were refused or warned of: every identity that they name finds it, and no sentence quotes a value."""

import re
from itertools import count, product
from typing import Any

import orjson
import pytest
from world import World, event, record

from gateway.domain.config.registry import IdentityDescriptor
from gateway.domain.facts.ingest_errors import ErrorPage, list_errors
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.versions import Mode
from gateway.storage.queries import Query

ANA = ("Email", "ana@x.io")
FIELDS = {
    "card": {"type": "string", "pattern": "^[0-9]+$"},
    "deep": {"type": "object", "properties": {"number": {"type": "integer", "maximum": 10**15}}},
}
DESCRIBED = (
    IdentityDescriptor("_acme.card", "CORE"),
    IdentityDescriptor("_acme.deep.number", "AAID"),
    IdentityDescriptor("personID", "GAID"),
)

SECRET = re.compile(r"31415926[0-9]{6}")
WARNED = Query("test.warned", "select code, xids, sample from gateway.ingestion_warning", (), (), "rows", "For tests.")
ERASE = Query(
    "test.erase",
    "update gateway.identity set value = null, erased_at = now() where xid = $1",
    ("xid",),
    (),
    "rows",
    "For tests.",
)
_secrets = count(31415926000000)
"""Numbers, each in one document: nothing else that is stored holds them."""


Document = dict[str, Any]


def mapped(document: Document, code: str, *values: Any, **marks: Any) -> Document:
    """Return the document with more identities in its identityMap."""
    known = document.get("identityMap", {})
    return {
        **document,
        "identityMap": {**known, code: [*known.get(code, ()), *({"id": value, **marks} for value in values)]},
    }


PLACES = {
    ("Email", "{}@x.io"): lambda value, document: mapped(document, "Email", value),
    ("Phone", "+{}"): lambda value, document: mapped(document, "Phone", value),
    ("CORE", "{}"): lambda value, document: {**document, "_acme": {"card": value}},
    ("AAID", "{}"): lambda value, document: {**document, "_acme": {"deep": {"number": value}}},
    ("GAID", "{}"): lambda value, document: {**document, "personID": value},
}
VALUES = (
    lambda value: [value],
    lambda value: {"id": value},
    lambda value: f"{value}\0",
    lambda value: f"{value}\ud800",
    lambda value: f"{value}{'0' * 1024}",
    lambda value: int(f"{SECRET.search(str(value))[0]}00000000"),
    lambda value: f"{value} x",
)
DOCUMENTS = (
    lambda sent: {**sent, "colour": "red"},
    lambda sent: {**sent, "person": {"birthDate": "never", "gender": "robot"}},
    lambda sent: {**sent, "x": orjson.loads("[" * 40 + "]" * 40)},
    lambda sent: {**sent, "x": "\ud800"},
    lambda sent: {**sent, "x": "x" * 100_000},
    lambda sent: mapped(sent, "GAID", "a", "b"),
    lambda sent: mapped(sent, "GAID", "a", "b", primary=True),
    lambda sent: mapped(sent, "Nowhere", "a"),
    lambda sent: mapped(sent, "ECID", "12"),
    lambda sent: mapped(sent, "GAID", *map(str, range(25))),
    lambda sent: mapped(sent, "GAID", "guest", primary=True),
    lambda sent: orjson.dumps(sent)[:-1],
    lambda sent: orjson.dumps({**sent, "colour": "red"}),
    lambda sent: [sent],
)


def broken():
    """Make a document for each place of an identity and each way to break value or document: with the secret, and whose it is."""
    for (code, form), put in PLACES.items():
        for breaks, breaking in (*product([True], VALUES), *product([False], DOCUMENTS)):
            secret = next(_secrets)
            text = form.format(secret)
            value = secret if code == "AAID" else text
            document = put(breaking(value), record(ANA)) if breaks else breaking(put(value, {}))
            yield document, str(secret), (code, text)


async def cells(world: World) -> list[tuple[str, str, str]]:
    """Read each cell of each table of our schema, as a text."""
    columns = await world.db.rows(
        Query(
            "test.columns",
            "select table_name as t, column_name as c from information_schema.columns where table_schema = 'gateway'",
            (),
            (),
            "rows",
            "For tests.",
        )
    )
    found = list[tuple[str, str, str]]()
    for table, column in columns:
        sql = f"select {column}::text as cell from gateway.{table} where {column} is not null"
        rows = await world.db.rows(Query("test.cells", sql, (), (), "rows", "For tests."))
        found += [(table, column, row["cell"]) for row in rows]
    return found


@pytest.fixture
async def acme(db):
    """Create a world whose records name people in fields, too."""
    return await World.create(db, "acme", DESCRIBED, FIELDS)


@pytest.mark.parametrize("mode", [Mode.REPLACE, Mode.MERGE])
async def test_a_refused_document_is_kept_if_each_identity_in_it_finds_it_and_no_sentence_quotes_a_value(acme, mode):
    sent = list(broken())
    result = await acme.records(*(document for document, _, _ in sent), mode=mode)
    refused = {failure.index for failure in result.failed}
    assert len(refused) > 100
    (page,) = await list_errors(acme.db, acme.scope, ErrorPage(Window(len(sent))), [result.batch_id])
    kept = {error.index: orjson.dumps(error.document).decode() for error in page.items if error.document}
    assert len(kept) > 20
    told = [(each.path, each.message) for problem in (*result.failed, *result.warnings) for each in problem.violations]
    found = await cells(acme)
    for index, (_, secret, identity) in enumerate(sent):
        assert not [sentence for sentence in told if secret in "".join(sentence)]
        stands = {(table, column) for table, column, cell in found if secret in cell}
        if index not in refused:
            continue
        assert stands == ({("ingest_error", "document")} if index in kept else set()), (index, sent[index])
        if index in kept:
            (xids,) = [failure.xids for failure in result.failed if failure.index == index]
            assert await acme.xid(*identity) in xids


async def test_a_warning_is_found_by_each_identity_in_its_document_and_quotes_no_value(acme):
    number, secret = ("Phone", "31415926 x"), ("Email", "31415926@x.io")
    await acme.records(
        record(secret, number, ("GAID", "guest"), extSourceSystemAudit={"lastUpdatedDate": "2999-01-01T00:00:00Z"})
    )
    await acme.events(event("1", "2026-01-01T00:00:00Z", secret), event("1", "2026-01-02T00:00:00Z", secret, number))
    warned = await acme.db.rows(WARNED)
    assert {row["code"] for row in warned} == {"IDENTITY_E164", "IDENTITY_PLACEHOLDER", "FUTURE_TIME", "EVENT_DIFFERS"}
    named = {await acme.xid(*secret), await acme.xid(*number)}
    assert all(set(row["xids"]) == named and row["sample"] for row in warned)
    assert "ingestion_warning" not in {table for table, _, cell in await cells(acme) if "31415926" in cell}


async def test_a_refused_document_that_names_an_erased_identity_is_not_kept(acme, statements):
    gone, other = ("Email", "gone@x.io"), ("Email", "other@x.io")
    await acme.records(record(gone), record(other))
    with statements() as before:
        await acme.records(record(gone, colour="red"))
    await acme.db.rows(ERASE, await acme.xid(*gone))
    with statements() as after:
        result = await acme.records(record(ANA, gone, colour="red"), record(ANA, other, colour="red"))
    assert after == before
    (page,) = await list_errors(acme.db, acme.scope, ErrorPage(Window(9)), [result.batch_id])
    assert [error.document for error in page.items] == [
        record(gone, colour="red"), None, record(ANA, other, colour="red")
    ]  # fmt: skip
