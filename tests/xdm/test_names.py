import re
import string

from hypothesis import given
from hypothesis import strategies as st

from gateway.xdm.names import collisions, graphql_name, pascal_case

KEYS = st.text(string.ascii_letters + string.digits + "_@$:-", min_size=1, max_size=12)


@given(KEYS)
def test_every_key_gets_a_name_that_graphql_allows(key: str) -> None:
    assert re.fullmatch(r"[_A-Za-z][_0-9A-Za-z]*", graphql_name(key))
    assert graphql_name(key) not in {"id", "_id"}


@given(st.lists(KEYS, unique=True))
def test_without_collisions_names_lead_back_to_their_keys(keys: list[str]) -> None:
    clashing = {later for later, _ in collisions(keys)}
    kept = [key for key in keys if key not in clashing]
    assert len({graphql_name(key): key for key in kept}) == len(kept)
    for later, earlier in collisions(keys):
        assert graphql_name(later) == graphql_name(earlier)


def test_names_are_made_as_documented() -> None:
    names = {"firstName": "firstName", "id": "id_", "_id": "_id_", "@id": "_id_", "by-shop": "by_shop", "2nd": "_2nd"}
    assert {key: graphql_name(key) for key in names} == names
    assert collisions(["id", "id_", "a-b", "a_b"]) == [("id_", "id"), ("a_b", "a-b")]
    assert [pascal_case(key) for key in ("webPageDetails", "_acme", "by-shop", "SKU")] == [
        "WebPageDetails",
        "Acme",
        "ByShop",
        "SKU",
    ]
