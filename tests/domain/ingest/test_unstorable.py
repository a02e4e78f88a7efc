"""A document that cannot be stored fails alone, with a path, a code and a sentence; unusual values have a defined meaning."""

import orjson
import pytest
from world import World, event

from gateway.domain.facts.ingest_errors import ErrorPage, list_errors
from gateway.domain.ingest import ingestion
from gateway.domain.operations.verification import verify
from gateway.domain.rules.keyset import Window
from gateway.storage.queries import Query

ECID = "1" * 38
FIELDS = {
    "num": {"type": "number"},
    "text": {"type": "string"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "numbers": {"type": "object", "additionalProperties": {"type": "number"}},
    "map": {"type": "object", "additionalProperties": {"type": "string"}},
}
STORED = Query(
    "test.stored",
    "select document from gateway.event where sandbox_id = $1 order by event_id",
    ("sandbox_id",),
    (),
    "rows",
    "For tests.",
)


@pytest.fixture
async def shop(db):
    """Create a world with custom fields of every type in events and records."""
    return await World.create(db, custom_fields=FIELDS)


def line(event_id: str, fields: str) -> bytes:
    """Make an event as a line of JSON text, with custom fields verbatim."""
    sent = orjson.dumps(event(event_id, "2026-01-01T00:00:00Z", ("ECID", ECID))).decode()
    return f'{sent[:-1]},"_{{tenant}}":{fields}}}'.encode()


async def take(world: World, *lines: bytes):
    tenant = world.scope.organization.code.encode()
    return await world.events(*(each.replace(b"{tenant}", tenant) for each in lines))


async def stored(world: World) -> list:
    tenant = f"_{world.scope.organization.code}"
    rows = await world.db.rows(STORED, world.scope.sandbox_id)
    return [orjson.loads(row["document"]).get(tenant) for row in rows]


def shortly(value: str) -> str:
    return f"{ascii(value)[:30]}-{len(value)}"


GOOD = line("a", '{"num":1}'), line("z", '{"num":2}')
NESTED = {
    "lists": '{"texts":' + "[" * 300 + "]" * 300 + "}",
    "objects": '{"map":' + '{"a":' * 300 + "1" + "}" * 301,
    "both": '{"map":' + '[{"a":' * 150 + "1" + "}]" * 150 + "}",
    "beyond what the parser takes": '{"texts":' + "[" * 2000 + "]" * 2000 + "}",
    "just too deep": '{"texts":' + "[" * 32 + "]" * 32 + "}",
}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        *((nested, "DEPTH") for nested in NESTED.values()),
        ('{"num":1e400}', "RANGE"),
        ('{"num":-1e400}', "RANGE"),
        ('{"num":' + "9" * 5000 + "}", "RANGE"),
        ('{"num":1e99999999999}', "RANGE"),
        ('{"num":NaN}', "JSON"),
        ('{"num":Infinity}', "JSON"),
        ('{"text":"\\ud800"}', "CHARACTER"),
        ('{"text":"\\udc00 x"}', "CHARACTER"),
        ('{"text":"a\\u0000b"}', "CHARACTER"),
        ('{"map":{"a\\u0000b":"x"}}', "CHARACTER"),
        ('{"map":{"\\ud800":"x"}}', "CHARACTER"),
        ('{"a\\u0000b":1}', "CHARACTER"),
    ],
    ids=shortly,
)
async def test_an_event_that_cannot_be_stored_fails_alone(shop, fields, code):
    result = await take(shop, GOOD[0], line("b", fields), GOOD[1])
    (failure,) = result.failed
    assert (result.accepted, failure.index, failure.code) == (2, 1, code)
    assert failure.path.startswith("$")
    assert failure.message
    (page,) = await list_errors(shop.db, shop.scope, ErrorPage(Window(10)), [result.batch_id])
    assert [(error.index, error.code) for error in page.items] == [(1, code)]
    orjson.dumps([[[[[[[[page.items[0].document, failure.document]]]]]]]])  # may be a part of an answer
    assert await stored(shop) == [{"num": 1}, {"num": 2}]


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ('{"num":1e-16384}', {"num": 0.0}),
        ('{"num":0e-16384}', {"num": 0.0}),
        ('{"num":0e99999999999}', {"num": 0.0}),
        ('{"num":1e-400}', {"num": 0.0}),
        ('{"num":0.' + "0" * 9000 + "1}", {"num": 0.0}),
        ('{"num":-0.0}', {"num": 0.0}),
        ('{"num":5e-324}', {"num": 5e-324}),
        ('{"num":1.7976931348623157e308}', {"num": 1.7976931348623157e308}),
        ('{"num":' + "9" * 300 + "}", {"num": 1e300}),
        ('{"num":0.1234567890123456789012345678901234567890}', {"num": 0.12345678901234568}),
        ('{"num":123456789012345678901234567890}', {"num": 1.2345678901234568e29}),
        ('{"num":1,"num":2}', {"num": 2}),
        ('{"map":{"a":"1","a":"2"}}', {"map": {"a": "2"}}),
        ('{"numbers":{"a":1e-16384,"b":1}}', {"numbers": {"a": 0.0, "b": 1}}),
        ('{"text":"\\ud83d\\ude00"}', {"text": "\N{GRINNING FACE}"}),
    ],
    ids=shortly,
)
async def test_an_unusual_number_or_text_has_one_value_everywhere(shop, fields, meant):
    """A number is the nearest double, or a whole number of 64 bits; of equal keys the last one holds."""
    result = await take(shop, GOOD[0], line("b", fields), GOOD[1])
    assert (result.accepted, result.failed) == (3, [])
    assert (await stored(shop))[1] == meant
    tenant = f"_{shop.scope.organization.code}"
    text = orjson.dumps({"identityMap": {"ECID": [{"id": ECID}]}}).decode()
    result = await shop.records(f'{text[:-1]},"{tenant}":{fields}}}'.encode())
    assert result.accepted == 1
    (document,) = await shop.documents()
    assert document == {tenant: meant}
    assert await verify(shop.db, shop.scope, shop.configurations) == []


@pytest.mark.parametrize("depth", [33, 200, 253, 260, 900])
async def test_a_value_that_nests_too_deeply_fails_alone_whatever_its_depth(shop, depth):
    """As values, which mutations pass, instead of lines of text."""
    nested: list = []
    for _ in range(depth):
        nested = [nested]
    good = event("a", "2026-01-01T00:00:00Z", ("ECID", ECID))
    result = await shop.events(good, {**good, "_id": "b", "_x": nested}, {**good, "_id": "c"})
    (failure,) = result.failed
    assert (result.accepted, failure.code) == (2, "DEPTH")
    orjson.dumps([[[[[[[[failure.document]]]]]]]])


@pytest.mark.parametrize("condition", ["22003", "22P05", "54000", "54001"])
@pytest.mark.parametrize("guilty", [{5}, {0, 6, 7, 11}])
async def test_a_document_that_postgres_refuses_for_an_unforeseen_reason_fails_alone(shop, condition, guilty):
    """The call is halved until each such document is found; the others are stored in one transaction."""
    await refuse(shop, "event", "new.document ->> 'eventType' = 'guilty'", condition)
    good = event("", "2026-01-01T00:00:00Z", ("ECID", ECID))
    sent = [{**good, "_id": f"e{n:02}", "eventType": "guilty" if n in guilty else "good"} for n in range(12)]
    result = await shop.events(*sent, {"x": 1})
    assert [(f.index, f.code) for f in result.failed] == [
        *((n, "UNSTORABLE") for n in sorted(guilty)),
        (12, "REQUIRED"),
    ]
    assert ("XX000" if shop.db.is_distributed else condition) in result.failed[
        0
    ].message  # all that a coordinator tells
    assert len(await stored(shop)) == result.accepted == 12 - len(guilty)
    again = await shop.events(*sent)
    assert (again.accepted, again.duplicates, len(again.failed)) == (0, 12 - len(guilty), len(guilty))
    assert await verify(shop.db, shop.scope, shop.configurations) == []


async def test_a_record_that_cannot_be_merged_into_its_profile_fails_alone_also_in_a_group_of_calls(shop):
    """No call of a group fails for a document of another one."""
    await refuse(shop, "profile", "new.document ->> 'x' is null and new.document::text like '%guilty%'", "22003")
    named = [
        {"identityMap": {"Email": [{"id": f"a{n}@x.io"}]}, "person": {"name": {"firstName": name}}}
        for n, name in enumerate(["a", "guilty", "c"])
    ]
    _, mixed, good = await shop.together(
        shop.records({"identityMap": {"Email": [{"id": "gone@x.io"}]}}, mode=ingestion.Mode.DELETE),
        shop.records(*named),
        shop.records(named[0], {**named[2], "identityMap": {"Email": [{"id": "d@x.io"}]}}),
    )
    assert (mixed.accepted + mixed.duplicates, [f.code for f in mixed.failed]) == (2, ["UNSTORABLE"])
    assert (good.accepted + good.duplicates, good.failed) == (2, [])
    assert len(await shop.documents()) == 3
    assert await verify(shop.db, shop.scope, shop.configurations) == []


async def refuse(world: World, table: str, condition: str, state: str) -> None:
    """Make Postgres refuse rows, as it does for limits that validation does not know; on a cluster, every node its own."""
    body = f"begin if {condition} then raise exception 'no' using errcode = '{state}'; end if; return new; end"
    trigger = "create trigger refuse before insert or update on {} for each row execute function gateway.refuse()"
    on_shards = f"select * from run_command_on_placements('gateway.{table}', '{trigger.format('%s')}')"
    for sql in (
        f"create function gateway.refuse() returns trigger language plpgsql as $$ {body} $$",
        on_shards if world.db.is_distributed else trigger.format(f"gateway.{table}"),
    ):
        await world.db.rows(Query("test.refuse", sql, (), (), "rows", "For tests."))
