"""Leaves are normalized before they are stored, filtered and returned; future times count as the time of ingestion."""

from datetime import UTC, datetime

import orjson
import pytest
from world import World, event, record

from gateway.domain.operations.verification import verify
from gateway.domain.reading.events import (
    ComparisonOperator,
    EventFilter,
    EventOrder,
    EventRequest,
    condition,
    list_events,
)
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.versions import Mode
from gateway.storage.queries import Query

ANA, ECID = ("Email", "ana@example.com"), ("ECID", "1" * 38)
AT = "2024-05-01T12:00:00+02:00"
IN_UTC = "2024-05-01T10:00:00.000Z"
FIELDS = {
    "at": {"type": "string", "format": "date-time"},
    "times": {"type": "array", "items": {"type": "string", "format": "date-time"}},
    "text": {"type": "string"},
    "whole": {"type": "integer"},
}
RECORDS = Query(
    "test.records",
    "select input, as_sent, observed_at, ingested_at from gateway.record where sandbox_id = $1 order by ordinal",
    *(("sandbox_id",), (), "rows", "For tests."),
)
EVENTS = Query(
    "test.events",
    "select document, timestamp, ingested_at from gateway.event where sandbox_id = $1 order by event_id",
    *(("sandbox_id",), (), "rows", "For tests."),
)


@pytest.fixture
async def shop(db):
    return await World.create(db, "frm", custom_fields=FIELDS)


async def kept(world):
    return await world.db.rows(RECORDS, world.scope.sandbox_id)


# ------------------------------------------------------------------------------------------------ one form


async def test_a_record_has_one_form_and_keeps_what_was_sent(shop):
    audit = {"extSourceSystemAudit": {"lastUpdatedDate": AT}}
    result = await shop.records(record(ANA, **audit, _frm={"at": AT, "times": [AT, IN_UTC], "whole": 7.0, "text": AT}))
    assert (result.accepted, result.warnings) == (1, [])
    (document,) = await shop.documents()
    assert orjson.dumps(document["_frm"], option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        {"at": IN_UTC, "text": AT, "times": [IN_UTC, IN_UTC], "whole": 7}
    )
    (row,) = await kept(shop)
    assert orjson.loads(row["as_sent"]) == {
        "/extSourceSystemAudit/lastUpdatedDate": AT,
        "/_frm/at": AT,
        "/_frm/times/0": AT,
        "/_frm/whole": 7.0,
    }
    assert row["observed_at"] == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert await verify(shop.db, shop.scope, shop.configurations) == []


async def test_the_same_record_in_another_form_says_nothing_new(shop):
    for at, whole in ((AT, 7.0), (IN_UTC, 7), ("2024-05-01t10:00:00z", 7)):
        result = await shop.records(record(ANA, _frm={"at": at, "whole": whole}))
    assert (result.accepted, result.duplicates) == (0, 1)
    assert [row["as_sent"] is None for row in await kept(shop)] == [False, True, False]


async def test_a_patch_has_the_form_of_the_record(shop):
    await shop.records(record(ANA, _frm={"at": AT, "whole": 7, "text": "x"}))
    patch = {"identityMap": record(ANA)["identityMap"], "_frm": {"at": "2025-01-01T00:00:00Z", "text": None}}
    await shop.records(patch, mode=Mode.MERGE)
    (document,) = await shop.documents()
    assert document["_frm"] == {"at": "2025-01-01T00:00:00.000Z", "whole": 7}
    assert await verify(shop.db, shop.scope, shop.configurations) == []


async def test_an_event_has_one_form_and_is_the_same_event_in_another(shop):
    sent = event("e1", AT, ECID, _frm={"at": AT, "whole": 7.0})
    again = event("e1", IN_UTC, ECID, _frm={"at": IN_UTC, "whole": 7})
    result = await shop.events(sent, again)
    assert (result.accepted, result.duplicates, result.warnings) == (1, 1, [])
    (row,) = await shop.db.rows(EVENTS, shop.scope.sandbox_id)
    document = orjson.loads(row["document"])
    assert (document["timestamp"], document["_frm"]) == (IN_UTC, {"at": IN_UTC, "whole": 7})
    assert '"whole": 7}' in row["document"]


async def test_events_are_ordered_by_what_they_say_to_the_microsecond(shop):
    await shop.events(event("a", "2024-05-01T12:00:00.000002Z", ECID), event("b", "2024-05-01T12:00:00.000001Z", ECID))
    rows = await shop.db.rows(EVENTS, shop.scope.sandbox_id)
    assert [row["timestamp"].microsecond for row in rows] == [2, 1]


# ------------------------------------------------------------------------------------------------ filters


@pytest.mark.parametrize(
    ("sign", "value", "found"),
    [
        ("GT", "2024-05-01T11:00:00Z", ["c"]),
        ("GTE", "2024-05-01T12:00:00+02:00", ["a", "b", "c"]),
        ("EQ", "2024-05-01T10:00:00Z", ["a", "b"]),
        ("EQ", "2024-05-01t05:00:00.000000-05:00", ["a", "b"]),
        ("NE", "2024-05-01T10:00:00Z", ["c"]),
        ("LT", "2024-05-01T10:00:00.001Z", ["a", "b"]),
        ("LTE", "2024-05-01T09:59:59.999Z", []),
        ("LT", "2024-05-02", ["a", "b", "c"]),
    ],
)
async def test_instants_are_compared_as_instants(shop, sign, value, found):
    for field in ("at", "times"):
        spelled = [AT, IN_UTC, "2024-05-01T12:00:00Z"]
        await shop.events(
            *(
                event(f"{name}-{field}", AT, ECID, _frm={field: [at] if field == "times" else at})
                for name, at in zip("abc", spelled, strict=True)
            )
        )
        assert await passing(shop, f"_frm.{field}", sign, value) == [f"{name}-{field}" for name in found]


async def test_a_text_that_looks_like_a_time_is_compared_as_it_is(shop):
    await shop.events(event("a", AT, ECID, _frm={"text": AT}), event("b", AT, ECID, _frm={"text": "other"}))
    assert await passing(shop, "_frm.text", "EQ", AT) == ["a"]
    assert await passing(shop, "_frm.text", "NE", AT) == ["b"]


async def passing(world, path, sign, value):
    asked = EventFilter(properties=(condition(path, ComparisonOperator[sign], value),))
    (page,) = await list_events(
        world.db, world.scope, [(await world.xid(*ECID),)], EventRequest(asked, EventOrder(), Window(10))
    )
    return sorted(each.event_id for each in page.items)


# ------------------------------------------------------------------------------------------------ times that have not come


async def test_a_record_with_a_future_time_counts_as_of_its_ingestion_and_is_warned_of(shop):
    """It wins against earlier records, and loses against later ones."""
    future = {"extSourceSystemAudit": {"lastUpdatedDate": "2999-01-01T00:00:00Z"}}
    result = await shop.records(record(ANA, first_name="Future", **future))
    assert [(warning.code, warning.path) for warning in result.warnings] == [
        ("FUTURE_TIME", "$.extSourceSystemAudit.lastUpdatedDate")
    ]
    assert await first_name(shop) == "Future"
    await shop.records(record(ANA, first_name="Ana"), dataset=shop.loyalty)
    assert await first_name(shop) == "Ana"
    (row, _) = await kept(shop)
    assert row["observed_at"] == row["ingested_at"]
    assert await verify(shop.db, shop.scope, shop.configurations) == []


async def first_name(world):
    (document,) = await world.documents()
    return document["person"]["name"]["firstName"]


async def test_an_event_with_a_future_time_counts_as_of_its_ingestion_and_keeps_its_timestamp(shop):
    result = await shop.events(event("e1", "2099-01-01T00:00:00Z", ECID, ANA), event("e2", AT, ECID))
    assert [(warning.code, warning.path, warning.index) for warning in result.warnings] == [
        ("FUTURE_TIME", "$.timestamp", 0)
    ]
    (row, _) = await shop.db.rows(EVENTS, shop.scope.sandbox_id)
    assert row["timestamp"] == row["ingested_at"]
    assert orjson.loads(row["document"])["timestamp"] == "2099-01-01T00:00:00.000Z"
    assert await verify(shop.db, shop.scope, shop.configurations) == []
