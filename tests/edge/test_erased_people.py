"""People who are erased leave edges that lag behind, though what said that they had merged leaves the journal."""

import pytest
from edge.hub import looked_up
from world import record

from gateway.domain.operations.erasure import DeleteScope

ANA, BOB, CARL = [("Email", f"{name}@example.com") for name in ("ana", "bob", "carl")]


@pytest.mark.parametrize("reach", DeleteScope)
@pytest.mark.parametrize("one", [ANA, BOB])
async def test_people_who_merge_and_are_erased_before_the_edge_hears_of_it_go_there(hub, one, reach):
    world = hub.world
    await world.records(*(record(each, first_name=each[1]) for each in (ANA, BOB, CARL)))
    await world.project("names", "person.name")
    await hub.deliver()
    await world.records(record(ANA, BOB), dataset=world.loyalty)
    await world.erase(await world.xid(*one), reach=reach)
    await hub.deliver()
    gone = (ANA, BOB) if reach is DeleteScope.GRAPH else (one,)
    for each, found in zip((ANA, BOB, CARL), await looked_up(hub, ANA, BOB, CARL), strict=True):
        assert found == (None if each in gone else {"person": {"name": {"firstName": each[1]}}})
    assert await hub.differences() == []
