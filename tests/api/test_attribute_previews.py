"""Previews of computed attributes: what is told before there is one is what it tells afterwards."""

import pytest
from world import event, record

PREVIEW = """query ($text: String!, $lookback: Duration, $sample: Int) { previewComputedAttribute(expression: $text, lookback: $lookback, sample: $sample) {
  mergeFunction returnType dependencies cost seconds windowStart peopleSampled peopleWithEvents peopleWithValue isComplete isEverybody
  examples { profile { profileId } value valueAt eventsCounted } } }"""
VALUES = "{ searchProfiles(first: 10) { nodes { profileId computedAttributes { value eventsCounted } } } }"
COUNT = "xEvent.count()"


@pytest.fixture
async def people(client):
    """Five people, of whom two have events."""
    names = [("Email", f"p{number}@example.com") for number in range(5)]
    await client.world.records(*(record(name, first_name="Ana") for name in names))
    await client.world.events(
        *(
            event(f"{name[1]}{day}", f"2026-01-0{day}T00:00:00Z", name, eventType="ab"[day % 2])
            for name in names[:2]
            for day in (1, 2, 3)
        )
    )


async def preview(client, text, **given):
    return (await client.data(PREVIEW, text=text, **given))["previewComputedAttribute"]


@pytest.mark.parametrize(
    "text",
    [
        COUNT,
        "xEvent.topN(timestamp, 1).head().eventType",
        "person.name.firstName",
        "_own.ComputedAttributes.visits + 1",
    ],
)
async def test_what_a_preview_tells_is_what_the_attribute_tells(client, people, text):
    world = client.world
    text = text.replace("_own", f"_{world.scope.organization.code}")
    visits = await world.publish("visits", COUNT)
    assert visits.is_published
    told = await preview(client, text)
    await world.publish("published", text)
    nodes = (await client.data(VALUES.replace("computedAttributes", 'computedAttributes(names: ["published"])')))[
        "searchProfiles"
    ]["nodes"]
    values = [(each["profileId"], *each["computedAttributes"][0].values()) for each in nodes]
    assert (told["peopleSampled"], told["isComplete"], told["isEverybody"]) == (5, True, True)
    assert [(each["profile"]["profileId"], each["value"], each["eventsCounted"]) for each in told["examples"]] == [
        each for each in values if each[1] is not None
    ]
    assert told["peopleWithValue"] == sum(value is not None for _, value, _ in values)
    assert told["peopleWithEvents"] == sum(count > 0 for *_, count in values)
    assert [(await client.data("{ computedAttributes { totalCount } }"))["computedAttributes"]["totalCount"]] == [2]


async def test_a_sample_is_bounded_and_says_what_is_left_out(client, people, monkeypatch):
    monkeypatch.setattr("gateway.domain.reading.attribute_previews.PEOPLE_AT_ONCE", 2)
    told = await preview(client, COUNT, sample=3, lookback="P1Y")
    assert (told["peopleSampled"], told["isComplete"], told["isEverybody"], told["mergeFunction"]) == (
        3,
        True,
        False,
        "COUNT",
    )
    assert told["windowStart"] is not None
    told = await preview(client, COUNT, sample=10_000)
    assert (told["peopleSampled"], told["isEverybody"], len(told["examples"])) == (5, True, 5)
    monkeypatch.setattr("gateway.api.attribute_previews.SHARE_OF_TIME", 0)
    told = await preview(client, COUNT)
    assert (told["peopleSampled"], told["isComplete"], told["isEverybody"]) == (0, False, False)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"text": "xEvent.cuont()"}, "BAD_PQL"), ({"text": "xEvent.count() + 1"}, "BAD_PQL"), ({"text": "{}"}, "BAD_PQL"),
        ({"text": COUNT, "lookback": "PT90M"}, "BAD_INPUT"), ({"text": "person.name.firstName", "lookback": "P1D"}, "BAD_INPUT"),
        ({"text": COUNT, "sample": 0}, "BAD_INPUT"), ({"text": COUNT, "sample": 10_001}, "LIMIT_EXCEEDED"),
    ],
)  # fmt: skip
async def test_what_no_attribute_can_be_has_no_preview(client, given, code):
    assert (await client.error(PREVIEW, **given))["extensions"]["code"] == code


async def test_an_empty_sandbox_has_an_empty_preview(client):
    told = await preview(client, COUNT)
    assert (told["peopleSampled"], told["isEverybody"], told["examples"]) == (0, True, [])
