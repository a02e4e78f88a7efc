"""Values of computed attributes as fields of documents: typed, and by selectors; there where they are selected, and nowhere else."""

import asyncio
from datetime import datetime

import pytest
from reference import reference
from world import event, record

from gateway.domain.config.computed_attributes import AttributeStatus, update_attribute
from gateway.domain.reading import profiles
from gateway.domain.rules.durations import parse_duration
from gateway.pql import ranges
from gateway.xdm.classes import XdmClass

ADA, BOB = ("Email", "ada@example.com"), ("Email", "bob@example.com")
WHO = {"who": [{"key": {"namespace": "Email", "value": value}} for _, value in (ADA, BOB)]}
OF_PEOPLE = {
    "visits": "xEvent.count()",
    "spent": "xEvent.sum(commerce.order.priceTotal)",
    "kinds": "xEvent.topN(timestamp, 5).map(eventType)",
    "byKind": "xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.count()))",
    "last": 'xEvent.topN(timestamp, 1).map({"kind": eventType, "order": commerce.order}).head()',
    "caller": "person.name.firstName",
}
OF_EVENTS = {"double": "commerce.order.priceTotal * 2", "words": "[eventType, producedBy]"}
EVENTS = [
    event("1", "2026-01-01T00:00:00Z", ADA, eventType="look"),
    event("2", "2026-01-02T00:00:00Z", ADA, commerce={"order": {"priceTotal": 7}}),
    event("3", "2026-01-03T00:00:00Z", ADA, eventType="buy", commerce={"order": {"priceTotal": 2.5, "currencyCode": "EUR"}}),
]  # fmt: skip


@pytest.fixture
async def clients(client):
    """Callers whose operations are compiled, and executed by graphql-core, in a sandbox with two people."""
    world = client.world
    await world.records(record(ADA, first_name="Ada"), record(BOB))
    await world.events(*EVENTS)
    for xdm_class, texts in ((XdmClass.INDIVIDUAL_PROFILE, OF_PEOPLE), (XdmClass.EXPERIENCE_EVENT, OF_EVENTS)):
        for name, text in texts.items():
            await world.publish(name, text, xdm_class=xdm_class)
    return client, reference(world)


def path(world, name):
    return f"_{world.scope.organization.code}.ComputedAttributes.{name}"


async def told(clients, text, **variables):
    """Run an operation both ways, and return its data, which is the same."""
    text = text.replace("_own", f"_{clients[0].world.scope.organization.code}")
    compiled, executed = [await client.data(text, **variables) for client in clients]
    assert compiled == executed
    return compiled


async def test_attributes_are_typed_fields_of_people_which_are_computed_where_they_are_selected(clients):
    text = """query ($who: [IdentityInput!]!) { profiles(identities: $who) { profile { profileId
        entity { person { name { firstName } } _own { ComputedAttributes { visits total: spent byKind ...Rest } } }
        bare: entity { _own { __typename } } } } }
      fragment Rest on XdmProfileTestComputedAttributes { kinds caller last { kind order { priceTotal currencyCode } } }"""
    code = clients[0].world.scope.organization.code
    ada, bob = (
        each["profile"] for each in (await told(clients, text.replace("Test", code.title()), **WHO))["profiles"]
    )
    assert ada["entity"] == {
        "person": {"name": {"firstName": "Ada"}},
        f"_{code}": {"ComputedAttributes": {
            "visits": 3, "total": 9.5, "byKind": {"look": 1, "buy": 1}, "kinds": ["buy", "look"], "caller": "Ada",
            "last": {"kind": "buy", "order": {"priceTotal": 2.5, "currencyCode": "EUR"}},
        }},
    }  # fmt: skip
    assert bob["entity"][f"_{code}"]["ComputedAttributes"] == {
        "visits": 0, "total": 0, "byKind": {}, "kinds": [], "caller": None, "last": None,
    }  # fmt: skip
    assert (ada["bare"], bob["bare"]) == ({f"_{code}": None}, {f"_{code}": None})


async def test_attributes_are_typed_fields_of_events_in_lists_and_pages(clients):
    fields = "eventId entity { eventType _own { ComputedAttributes { double words } } }"
    text = f"""query ($who: [IdentityInput!]!, $where: String) {{ events(identities: $who, filter: {{where: $where}}) {{ nodes {{ {fields} }} }}
        profiles(identities: $who) {{ profile {{ events(last: 1) {{ totalCount edges {{ node {{ {fields} }} }} }} }} }} }}"""
    code = clients[0].world.scope.organization.code
    data = await told(clients, text, **WHO, where=f"_{code}.ComputedAttributes.double < 10")
    assert data["events"]["nodes"] == [
        {
            "eventId": "3",
            "entity": {"eventType": "buy", f"_{code}": {"ComputedAttributes": {"double": 5, "words": ["buy"]}}},
        }
    ]
    (last, none) = (each["profile"]["events"]["edges"] for each in data["profiles"])
    assert ([each["node"] for each in last], none) == (data["events"]["nodes"], [])


async def test_json_has_attributes_where_a_selector_names_them_and_not_else(clients):
    text = """query ($who: [IdentityInput!]!) { profiles(identities: $who) { profile {
        whole: entityJson own: entityJson(select: "_own") some: entityJson(select: "person,_own.ComputedAttributes(visits,byKind.look)")
        all: entityJson(select: "_own.ComputedAttributes")
        events(first: 1) { nodes { entityJson(select: "eventType,_own.ComputedAttributes") bare: entityJson } } } } }"""
    code = clients[0].world.scope.organization.code
    ada, bob = (each["profile"] for each in (await told(clients, text, **WHO))["profiles"])
    assert (f"_{code}" in ada["whole"], ada["own"]) == (False, {})
    assert ada["some"] == {
        "person": {"name": {"firstName": "Ada"}},
        f"_{code}": {"ComputedAttributes": {"visits": 3, "byKind": {"look": 1}}},
    }
    assert set(ada["all"][f"_{code}"]["ComputedAttributes"]) == set(OF_PEOPLE)
    assert set(bob["all"][f"_{code}"]["ComputedAttributes"]) == set(OF_PEOPLE) - {"caller", "last"}
    (first,) = ada["events"]["nodes"]
    assert first["entityJson"] == {"eventType": "look", f"_{code}": {"ComputedAttributes": {"words": ["look"]}}}
    assert f"_{code}" not in first["bare"]
    error = await clients[0].error(text.replace("_own", f"_{code}").replace("visits", "visit"), **WHO)
    assert (error["extensions"]["code"], "Did you mean 'visits'?" in error["message"]) == ("BAD_SELECTOR", True)


async def test_the_statement_that_reads_people_folds_values_of_partials(client, statements):
    world = client.world
    await world.records(record(ADA, first_name="Ada"), record(BOB))
    await world.events(*EVENTS)
    for name in ("visits", "spent", "byKind"):
        await world.publish(name, OF_PEOPLE[name])
    await world.publish("words", 'xEvent.topN(timestamp, 1).map({"words": [eventType, producedBy]}).head()')
    plain = reference(world)
    text = """query ($who: [IdentityInput!]!) { profiles(identities: $who) { profile {
        entity { person { name { firstName } } _own { ComputedAttributes { visits spent byKind more } } } events(first: 1) { nodes { eventType } }
        entityJson(select: "person,_own.ComputedAttributes") } } }"""
    some = text.replace("more", "").replace('.ComputedAttributes"', '.ComputedAttributes(visits)"')
    ada, bob = (each["profile"] for each in (await told((client, plain), some, **WHO))["profiles"])
    (own,) = set(ada["entity"]) - {"person"}
    with statements() as seen:
        await client.data(some.replace("_own", own), **WHO)
    assert seen == ["tenants.read_sandbox", "people.read_people"]
    assert ada["entity"][own] == {"ComputedAttributes": {"visits": 3, "spent": 9.5, "byKind": {"look": 1, "buy": 1}}}
    assert bob["entity"] == {
        "person": None,
        own: {"ComputedAttributes": {"visits": 0, "spent": 0, "byKind": {}}},
    }
    assert (ada["entityJson"][own], bob["entityJson"]) == (
        {"ComputedAttributes": {"visits": 3}},
        {own: {"ComputedAttributes": {"visits": 0}}},
    )
    (ada, _) = (await told((client, plain), text.replace("more", "words { words }"), **WHO))["profiles"]
    assert ada["profile"]["entity"][own]["ComputedAttributes"]["words"] == {
        "words": ["buy"]
    }  # no document has a null in it
    huge = {"order": {"priceTotal": 1e308}}
    await world.events(*[event(f"huge{n}", f"2026-01-0{n}T00:00:00Z", BOB, commerce=huge) for n in (1, 2)])
    only_bob = {"who": WHO["who"][1:]}
    bodies = [(await each.answer(some.replace("_own", own), only_bob))[1] for each in (client, plain)]
    assert bodies[0] == bodies[1]  # no double is as large as that sum


async def test_the_statement_that_reads_people_tells_what_is_known_of_values(client, statements):
    world = client.world
    await world.records(record(ADA, first_name="Ada"), record(BOB))
    await world.events(*EVENTS)
    for name in ("visits", "spent", "byKind"):
        await world.publish(name, OF_PEOPLE[name])
    await world.publish("newest", "xEvent.topN(timestamp, 1).head().eventType", parse_duration("P3Y"))
    text = """query ($who: [IdentityInput!]!, $names: [String!]) { profiles(identities: $who) { profile { computedAttributes(names: $names) {
        kind: __typename value valueAt eventsCounted isComplete attribute { id name displayName path status returnType }
      } times: computedAttributes(names: ["spent", "newest"]) { asOf windowStart windowEnd } } } }"""
    asked = {**WHO, "names": ["byKind", "newest", "visits"]}
    resolved = await client.data(text.replace("returnType", "returnType job { id }"), **asked)
    with statements() as seen:
        data = await client.data(text, **asked)
    assert seen == ["tenants.read_sandbox", "people.read_people"]
    people = [each["profile"] for each in data["profiles"]]
    for mine, other in zip(people, (each["profile"] for each in resolved["profiles"]), strict=True):
        for each in other["computedAttributes"]:
            assert each["attribute"].pop("job")["id"]
        assert mine["computedAttributes"] == other["computedAttributes"]
        (whole, sliding) = mine["times"]
        assert (whole["windowStart"], whole["asOf"], whole["windowEnd"]) == (None, sliding["asOf"], sliding["asOf"])
        since = parse_duration("P3Y").before(datetime.fromisoformat(sliding["asOf"]))
        assert datetime.fromisoformat(sliding["windowStart"]) == since
    (of_ada, newest, _), (_, nothing, _) = (each["computedAttributes"] for each in people)
    assert (of_ada["value"], of_ada["eventsCounted"]) == ({"look": 1, "buy": 1}, 3)
    assert (newest["value"], newest["valueAt"], newest["kind"]) == (
        "buy",
        "2026-01-03T00:00:00.000Z",
        "ComputedAttributeValue",
    )
    assert (nothing["value"], nothing["valueAt"], nothing["eventsCounted"]) == (None, None, 0)
    error = await client.error(text, who=WHO["who"][:1], names=["visit"])
    assert (error["extensions"]["code"], "Did you mean 'visits'?" in error["message"]) == ("BAD_INPUT", True)


async def test_the_statement_that_reads_people_computes_expressions_and_what_has_no_partials(clients, statements):
    world, client = clients[0].world, clients[0]
    above = {
        "many": "xEvent.topN(timestamp, 30).eventType",
        "mean": "_own.ComputedAttributes.spent / _own.ComputedAttributes.visits",
        "isDear": "_own.ComputedAttributes.mean > 3",
        "greeting": 'if(_own.ComputedAttributes.isDear, person.name.firstName, "you")',
        "looks": '_own.ComputedAttributes.byKind.get("look")',
        "namespaces": "identityMap.keys().count()",
        "recent": "_own.ComputedAttributes.last.order",
    }
    code = f"_{world.scope.organization.code}"
    for name, text in above.items():
        await world.publish(name, text.replace("_own", code))
    names = [*above, "visits"]
    text = """query ($who: [IdentityInput!]!, $names: [String!]) { profiles(identities: $who) { profile {
        entity { _own { ComputedAttributes { many mean isDear greeting looks namespaces recent { priceTotal } visits } } }
        entityJson(select: "_own.ComputedAttributes(greeting,recent)")
        computedAttributes(names: $names) { value valueAt eventsCounted isComplete attribute { name } } } } }"""
    data = await told(clients, text, **WHO, names=names)
    with statements() as seen:
        await client.data(text.replace("_own", code), **WHO, names=names)
    assert seen == ["tenants.read_sandbox", "people.read_people"]
    ada, bob = (each["profile"] for each in data["profiles"])
    values = {"isDear": True, "greeting": "Ada", "looks": 1, "namespaces": 1, "visits": 3, "many": ["buy", "look"]}
    own = ada["entity"][code]["ComputedAttributes"]
    assert {name: own[name] for name in values} == values
    assert (own["mean"], own["recent"]) == (pytest.approx(9.5 / 3), {"priceTotal": 2.5})
    assert [(each["value"], each["eventsCounted"], each["isComplete"]) for each in ada["computedAttributes"][-2:]] == [
        ({"priceTotal": 2.5, "currencyCode": "EUR"}, 0, True),
        (3, 3, True),
    ]
    assert bob["entity"][code]["ComputedAttributes"] | {"many": []} == {
        **dict.fromkeys(own),
        "many": [],
        "greeting": "you",
        "namespaces": 1,
        "visits": 0,
    }


async def test_a_person_with_a_value_that_no_statement_tells_is_read_apart_from_the_others_of_a_page(
    clients, monkeypatch
):
    client, world = clients[0], clients[0].world
    huge = {"order": {"priceTotal": 1e308}}
    await world.events(*(event(f"h{n}", f"2026-01-0{n}T00:00:00Z", BOB, commerce=huge) for n in (1, 2)))
    nobody = [{"key": {"namespace": "Email", "value": value}} for value in ("", "nobody@example.com")]
    text = """query ($who: [IdentityInput!]!) { profiles(identities: $who) { status profile { profileId
        entity { _own { ComputedAttributes { visits spent } } } computedAttributes(names: ["spent"]) { value isComplete } } } }"""
    data = await told(clients, text, who=[*WHO["who"], *nobody])
    listing = """{ searchProfiles(first: 9) { totalCount nodes { profileId entity { _own { ComputedAttributes { visits spent } } } } } }"""
    listed = await told(clients, listing)
    read, whole = profiles.read_profiles, []

    async def noted(*asked):
        whole.append(asked[-1])
        return await read(*asked)

    monkeypatch.setattr(profiles, "read_profiles", noted)
    assert (await told(clients[:1] * 2, text, who=[*WHO["who"], *nobody])) == data
    assert whole == 2 * [[await world.xid(*BOB)]]
    whole.clear()
    assert (await told(clients[:1] * 2, listing)) == listed
    assert whole == 2 * [[await world.xid(*BOB)]]
    whole.clear()
    ada, bob, *none = data["profiles"]
    of_attributes = [
        each["profile"]["entity"][f"_{world.scope.organization.code}"]["ComputedAttributes"] for each in (ada, bob)
    ]
    assert of_attributes == [{"visits": 3, "spent": 9.5}, {"visits": 2, "spent": None}]
    assert [each["profile"]["computedAttributes"][0]["isComplete"] for each in (ada, bob)] == [True, False]
    assert [(each["status"], each["profile"]) for each in none] == [("INVALID", None), ("NOT_FOUND", None)]
    one = 'query ($who: IdentityInput!) { profile(identity: $who) { computedAttributes(names: ["spent"]) { value isComplete } } }'
    alike = await asyncio.gather(*(client.data(one, who=each) for each in WHO["who"]))
    assert [each["profile"]["computedAttributes"][0]["value"] for each in alike] == [9.5, None]
    assert whole == [[await world.xid(*BOB)]]


async def test_an_expression_out_of_range_is_an_error_of_who_reads_it_and_of_no_other(client, monkeypatch):
    monkeypatch.setattr(ranges, "MAX_DIGITS", 10**9)  # such an expression is refused
    await client.world.records(record(ADA, first_name="Ada"))
    large = f"let A = (1.0e300) in let B = ({'*'.join('A' * 25)}) in ({'*'.join('B' * 20)})"
    await client.world.publish("large", large)
    await client.world.publish("caller", OF_PEOPLE["caller"])
    text = """query ($who: [IdentityInput!]!, $names: [String!]) { profiles(identities: $who) { profile { computedAttributes(names: $names) { value } } } }"""
    one, (_, other) = await asyncio.gather(
        client.error(text, who=WHO["who"][:1], names=["large"]),
        client.answer(text, {"who": WHO["who"][:1], "names": ["caller"]}),
    )
    assert (one["extensions"]["code"], one["message"]) == (
        "BAD_PQL",
        "A value that a computed attribute has is out of range.",
    )
    assert other["data"]["profiles"][0]["profile"]["computedAttributes"] == [{"value": "Ada"}]


async def test_an_explanation_tells_the_events_that_a_value_is_of_and_its_window(clients):
    world = clients[0].world
    await world.publish("dear", f"xEvent[{path(world, 'double')} > 4].count()", parse_duration("P3Y"))
    text = """query ($who: [IdentityInput!]!) { profiles(identities: $who) { profile { explain(select: "person.name.firstName,_own.ComputedAttributes(visits,dear,caller)") {
        path value rule winner { value } candidates { value }
        computed { attribute { name } windowStart windowEnd asOf eventsCounted isComplete events { eventId timestamp } } } } } }"""
    text = text.replace("_own", f"_{world.scope.organization.code}")
    data = await clients[0].data(text, **WHO)
    (name, visits, dear, caller), (no_visits, *_) = (each["profile"]["explain"] for each in data["profiles"])
    assert (name["rule"], name["computed"], visits["rule"], visits["winner"], visits["candidates"]) == (
        "ONLY_CANDIDATE",
        None,
        "COMPUTED",
        None,
        [],
    )
    assert visits["path"] == path(world, "visits").split(".")
    told = [[event["eventId"] for event in each["computed"]["events"]] for each in (visits, dear, caller, no_visits)]
    assert told == [["3", "2", "1"], ["3", "2"], [], []]
    assert [each["value"] for each in (visits, dear, caller, no_visits)] == [3, 2, "Ada", 0]
    window = dear["computed"]
    assert (window["attribute"]["name"], window["eventsCounted"], window["isComplete"]) == ("dear", 2, True)
    assert datetime.fromisoformat(window["windowStart"]) == parse_duration("P3Y").before(
        datetime.fromisoformat(window["asOf"])
    )
    assert (visits["computed"]["windowStart"], window["windowEnd"]) == (None, window["asOf"])
    shape = [[(each["rule"], each["value"], each["computed"] and each["computed"]["events"]) for each in one["profile"]["explain"]]
             for one in (await clients[1].data(text, **WHO))["profiles"]]  # fmt: skip
    assert shape[0] == [
        (each["rule"], each["value"], each["computed"] and each["computed"]["events"])
        for each in (name, visits, dear, caller)
    ]


async def test_an_explanation_tells_the_newest_events_in_their_order(clients):
    world = clients[0].world
    await world.events(
        *(
            event(f"e{number:02}", f"2026-02-{1 + number // 2:02}T00:00:00Z", BOB, eventType="ab"[number % 3 == 0])
            for number in range(40)
        )
    )
    await world.publish("bs", 'xEvent[eventType = "a"].count()')
    text = """query ($who: [IdentityInput!]!) { profiles(identities: $who) { profile { explain(select: "_own.ComputedAttributes.bs") { value computed { events { eventId } } } } } }"""
    data = await told(clients, text, **WHO)
    ((explained,),) = (each["profile"]["explain"] for each in data["profiles"][1:])
    listed = [event["eventId"] for event in explained["computed"]["events"]]
    assert (explained["value"], listed) == (26, [f"e{number:02}" for number in reversed(range(40)) if number % 3][:20])


async def test_an_explanation_tells_what_is_kept_and_a_value_is_folded_of(clients):
    world = clients[0].world
    for name, text, lookback in (
        ("buys", 'xEvent[eventType = "buy"].count()', "P3Y"),
        ("ever", "xEvent.count()", None),
    ):
        await world.publish(name, text, lookback and parse_duration(lookback))
    text = """query ($who: [IdentityInput!]!) { profiles(identities: $who) { profile { explain(select: "_own.ComputedAttributes(buys,ever,kinds)") {
        value computed { eventsCounted buckets { identity { value } start end eventsCounted isWhole } } } } } }"""
    ada, bob = (each["profile"]["explain"] for each in (await told(clients, text, **WHO))["profiles"])
    buys, ever, kinds = (each["computed"]["buckets"] for each in ada)
    assert (
        [sum(bucket["eventsCounted"] for bucket in each) for each in (buys, ever)]
        == [each["value"] for each in ada[:2]]
        == [1, 3]
    )
    assert [(each["identity"]["value"], each["start"], each["end"], each["isWhole"]) for each in ever] == [
        (ADA[1], None, None, True)
    ]
    ((start, end),) = ((datetime.fromisoformat(each["start"]), datetime.fromisoformat(each["end"])) for each in buys)
    assert start <= datetime.fromisoformat("2026-01-03T00:00:00Z") < end
    assert (kinds, [each["computed"]["buckets"] for each in bob]) == (ever, [[], [], []])


async def test_publishing_and_disabling_change_the_schema_of_the_sandbox(client):
    world, code = client.world, client.world.scope.organization.code
    text = """{ __type(name: "XdmProfile%sComputedAttributes") { fields { name type { name } description } }
                unionSchema(class: INDIVIDUAL_PROFILE) { jsonSchema sdl } }""" % code.title()  # noqa: UP031

    async def fields():
        data = await client.data(text)
        own = data["unionSchema"]["jsonSchema"]["properties"].get(f"_{code}", {}).get("properties", {})
        names = list(own.get("ComputedAttributes", {}).get("properties", {}))
        assert all(f"  {name}: " in data["unionSchema"]["sdl"] for name in names)
        assert names == [each["name"] for each in (data["__type"] or {"fields": []})["fields"]]
        return data["__type"] and data["__type"]["fields"]

    assert await fields() is None
    visits = await world.publish("visits", "xEvent.count()")
    await world.publish("length", "eventType", xdm_class=XdmClass.EXPERIENCE_EVENT)
    assert await fields() == [{"name": "visits", "type": {"name": "Long"}, "description": "visits"}]
    unions = (await world.config()).unions
    await update_attribute(
        world.db, world.scope, unions, visits.attribute_id, {}, most=25, status=AttributeStatus.DISABLED
    )
    assert await fields() is None
