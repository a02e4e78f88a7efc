import pytest

from gateway.xdm.classes import XdmClass, compose
from gateway.xdm.paths import composites, field_at

CUSTOM = {
    "price": {"type": "object", "meta:composite": True, "properties": {"amount": {"type": "number"}}},
    "byShop": {
        "type": "object",
        "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}, "meta:composite": True},
    },
    "rows": {
        "type": "array",
        "items": {"type": "object", "meta:composite": True, "properties": {"a": {"type": "string"}}},
    },
    "plain": {"type": "object", "properties": {"a": {"type": "string"}}},
}
SCHEMA = compose(XdmClass.INDIVIDUAL_PROFILE, ["profile-personal-contact", "profile-consents"], CUSTOM, "acme")


def test_composite_values_are_found_below_objects_and_maps() -> None:
    tree = composites(SCHEMA)
    assert tree["homeAddress"] is None
    assert tree["personalEmail"] is None
    assert tree["mobilePhone"] is None
    assert tree["_acme"] == {"price": None, "byShop": {"*": None}}
    consents = tree["consents"]
    assert consents is not None
    assert consents["collect"] is None
    assert consents["marketing"] is not None
    assert consents["marketing"]["email"] is None
    assert "preferred" not in consents["marketing"]
    assert "identityMap" not in tree


@pytest.mark.parametrize(
    "path",
    ["", "person", "personalEmail.", "personalEmail.address.x", "identityMap.Email", "_acme.rows.a", ".personalEmail"],
)
def test_a_path_without_a_field_gives_none(path: str) -> None:
    assert field_at(SCHEMA, path) is None


def test_a_path_gives_its_field() -> None:
    address = field_at(SCHEMA, "personalEmail.address")
    rows = field_at(SCHEMA, "_acme.rows")
    assert address is not None
    assert address["meta:xdmType"] == "string"
    assert rows is not None
    assert rows["meta:xdmType"] == "array"
