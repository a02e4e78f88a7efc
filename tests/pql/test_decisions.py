"""What is decided where the language leaves it open: every example of the table in the document, in Postgres and by hand."""

import json
import re
from decimal import Decimal

import asyncpg
import pytest
from pql import evaluator
from pql.people import NOW
from pql.sample import checked, schema
from pql.values import load, told

from gateway.pql.inputs import Inputs
from gateway.pql.parser import parse
from gateway.pql.sql import compiled
from gateway.server.http.docs import read_document
from gateway.xdm.classes import XdmClass

ROWS = [row for row in read_document("pql").text.splitlines() if " → " in row]
EXAMPLES = [
    (text.replace("\\\\\\\\", "\\\\").replace("\\|", "|"), value)
    for row in ROWS
    for text, value in re.findall(r"`([^`]+)` → `([^`]+)`", row)
]
NOBODY = load({}, schema(XdmClass.INDIVIDUAL_PROFILE))
INPUTS = Inputs("'{}'::jsonb", "$1::timestamptz", 1)


@pytest.fixture(scope="module")
async def connection(module_dsn):
    connection = await asyncpg.connect(module_dsn)
    yield connection
    await connection.close()


def test_every_row_has_examples():
    assert len(ROWS) > 20
    assert len(EXAMPLES) == sum(row.count(" → ") for row in ROWS)


@pytest.mark.parametrize(("text", "value"), EXAMPLES, ids=[text for text, _ in EXAMPLES])
async def test_an_example_gives_what_the_document_says(connection, text, value):
    found = checked(text)
    assert found.errors == ()
    sql = compiled(found.expression, INPUTS)
    given = await connection.fetchval(f"select ({sql.sql})::text from (select $1::timestamptz) now", NOW, *sql.values)
    assert json.loads(given or "null") == json.loads(value)
    by_hand = told(evaluator.evaluate(parse(text), NOBODY, [], NOW))
    assert by_hand == json.loads(value, parse_int=Decimal, parse_float=Decimal)
