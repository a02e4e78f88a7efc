"""Pages are checked before anything is read, whoever is found then."""

import pytest
from client import Client
from world import World, record

NOBODY = 'profile(identity: {key: {namespace: "Email", value: "nobody@example.com"}})'
ADA = 'profile(identity: {key: {namespace: "Email", value: "ada@example.com"}})'


@pytest.fixture(scope="module")
async def stored(module_db) -> World:
    world = await World.create(module_db)
    await world.records(record(("Email", "ada@example.com")))
    return world


@pytest.fixture
def client(stored) -> Client:
    return Client.of(stored)


@pytest.mark.parametrize("person", [NOBODY, ADA])
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("first: 1001", "LIMIT_EXCEEDED", "`theirs`: A page has at most 1,000 items"),
        ("last: -1", "BAD_INPUT", "`theirs`: A page cannot have -1 items"),
        ("first: 1, last: 1", "BAD_INPUT", "`theirs`: Ask for the `first` items or for the `last` ones"),
        ('after: "zzz"', "BAD_CURSOR", "`theirs`: "),
        ('before: "%"', "BAD_CURSOR", "`theirs`: "),
    ],
)
async def test_an_invalid_page_is_refused_whether_a_person_is_found_or_not(client, person, arguments, code, says):
    literal = f"{{ {person} {{ theirs: events({arguments}) {{ nodes {{ id }} }} }} }}"
    spread = f"{{ {person} {{ ...F }} }} fragment F on Profile {{ theirs: events({arguments}) {{ totalCount }} }}"
    for query in (literal, spread):
        _, body = await client.answer(query)
        (error,) = body["errors"]
        assert (body.get("data"), error["extensions"]["code"]) == (None, code)
        assert error["message"].startswith(says)


async def test_a_page_of_variables_is_checked_with_their_values(client):
    query = f"query ($size: Int = 1001, $place: String) {{ {NOBODY} {{ events(first: $size, after: $place) {{ totalCount }} }} }}"
    for variables, code in (({}, "LIMIT_EXCEEDED"), ({"size": 5}, None), ({"size": 5, "place": "zzz"}, "BAD_CURSOR")):
        _, body = await client.answer(query, variables)
        assert [error["extensions"]["code"] for error in body.get("errors", ())] == ([code] if code else [])


async def test_a_cursor_of_another_list_fails_the_field_that_reads_it(client):
    cursor = (await client.data("{ datasets(first: 1) { pageInfo { endCursor } } }"))["datasets"]["pageInfo"][
        "endCursor"
    ]
    _, body = await client.answer(f'{{ {ADA} {{ events(after: "{cursor}") {{ totalCount }} }} }}')
    assert [(error["path"], error["extensions"]["code"]) for error in body["errors"]] == [
        (["profile", "events"], "BAD_CURSOR")
    ]
