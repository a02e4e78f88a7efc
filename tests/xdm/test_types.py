"""GraphQL types of unions, as plain descriptions."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.xdm.classes import XdmClass, compose
from gateway.xdm.types import TypeDefinition, entity_types

EVENTS = compose(XdmClass.EXPERIENCE_EVENT, None, {"note": {"type": "string"}}, "acme")


def types(custom: dict[str, Any] | None) -> dict[str, TypeDefinition]:
    profiles = compose(XdmClass.INDIVIDUAL_PROFILE, None, custom, "acme")
    described = entity_types({"ProfileEntity": profiles, "ExperienceEventEntity": EVENTS})
    assert len({definition.name for definition in described}) == len(described)
    return {definition.name: definition for definition in described}


def fields(definition: TypeDefinition) -> dict[str, str]:
    return {field.name: field.type for field in definition.fields}


def test_every_xdm_type_has_its_graphql_type() -> None:
    custom = {
        "s": {"type": "string"}, "u": {"meta:xdmType": "uri"}, "d": {"meta:xdmType": "date"}, "t": {"meta:xdmType": "date-time"},
        "l": {"meta:xdmType": "long"}, "i": {"meta:xdmType": "integer"}, "h": {"meta:xdmType": "short"}, "b": {"meta:xdmType": "byte"},
        "n": {"type": "number"}, "o": {"type": "boolean"}, "m": {"type": "object", "additionalProperties": {"type": "string"}},
        "a": {"type": "array", "items": {"type": "array", "items": {"meta:xdmType": "long"}}},
        "c": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}},
    }  # fmt: skip
    assert fields(types(custom)["XdmProfileAcme"]) == {
        "s": "String", "u": "String", "d": "String", "t": "DateTime", "l": "Long", "i": "Int", "h": "Int", "b": "Int",
        "n": "Float", "o": "Boolean", "m": "JSON", "a": "[[Long!]!]", "c": "[XdmProfileAcmeC!]",
    }  # fmt: skip


def test_standard_shapes_are_named_once() -> None:
    described = types(None)
    profile = fields(described["ProfileEntity"])
    assert profile["personalEmail"] == profile["workEmail"] == "XdmEmailAddress"
    assert profile["homeAddress"] == profile["billingAddress"] == "XdmPostalAddress"
    assert fields(described["XdmPerson"])["name"] == "XdmPersonName"
    assert (
        fields(described["XdmCommerce"])["purchases"]
        == fields(described["XdmWebPageDetails"])["pageViews"]
        == "XdmMeasure"
    )
    assert described["XdmEmailAddress"].description.startswith("An e-mail address")


def test_every_type_is_defined_before_it_is_used_or_is_a_scalar() -> None:
    seen = {"String", "Int", "Long", "Float", "Boolean", "DateTime", "JSON"}
    for definition in types({"a": {"type": "object", "properties": {"b": {"type": "string"}}}}).values():
        assert {field.type.strip("[]!") for field in definition.fields} <= seen
        seen.add(definition.name)


def test_descriptions_list_values_and_stored_names() -> None:
    described = types(None)
    gender = next(field for field in described["XdmPerson"].fields if field.name == "gender")
    assert "One of: male, female, not_specified, non_specific." in gender.description
    measure = next(field for field in described["XdmMeasure"].fields if field.key == "id")
    assert (measure.name, measure.description.endswith("Stored as `id`.")) == ("id_", True)


def test_paths_that_meet_in_one_type_name_are_kept_apart() -> None:
    def wrap(key: str, leaf: str) -> dict[str, Any]:
        return {"type": "object", "properties": {key: {"type": "object", "properties": {leaf: {"type": "string"}}}}}

    described = types({"a": wrap("bC", "x"), "aB": wrap("c", "y")})
    first, second = fields(described["XdmProfileAcmeA"])["bC"], fields(described["XdmProfileAcmeAB"])["c"]
    assert first == "XdmProfileAcmeABC"
    assert second.startswith("XdmProfileAcmeABC_")
    assert (fields(described[first]), fields(described[second])) == ({"x": "String"}, {"y": "String"})


@given(
    st.lists(
        st.text("aAbB_-$", min_size=1, max_size=4),
        unique_by=lambda key: key.replace("-", "_").replace("$", "_"),
        min_size=1,
        max_size=8,
    )
)
def test_names_lead_back_to_their_keys(keys: list[str]) -> None:
    keys = [f"k{key}" for key in keys]
    described = types({key: {"type": "object", "properties": {key: {"type": "string"}}} for key in keys})
    own = described["XdmProfileAcme"]
    assert [field.key for field in own.fields] == keys
    assert len({field.name for field in own.fields}) == len(keys)
    assert [described[field.type].fields[0].key for field in own.fields] == keys
