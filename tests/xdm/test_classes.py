"""The field groups that ship, and schemas made of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.errors import Invalid
from gateway.xdm.classes import XdmClass, compose, field_groups
from gateway.xdm.custom import check_custom_fields
from gateway.xdm.fields import children
from gateway.xdm.names import collisions
from gateway.xdm.paths import field_at

CLASSES = list(XdmClass)


def whole(xdm_class: XdmClass) -> dict[str, Any]:
    return compose(xdm_class, None, None, "acme")


def walk(field: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, field
    for step, child in children(field):
        yield from walk(child, f"{path}.{step}".lstrip("."))


def own_keywords(field: dict[str, Any]) -> dict[str, Any]:
    """The field in the subset that custom fields are held to."""
    plain = {
        keyword: value for keyword, value in field.items() if keyword not in ("meta:typeName", "meta:typeDescription")
    }
    for keyword in ("items", "additionalProperties"):
        if isinstance(plain.get(keyword), dict):
            plain[keyword] = own_keywords(plain[keyword])
    if "properties" in plain:
        plain["properties"] = {key: own_keywords(child) for key, child in plain["properties"].items()}
    return plain


@pytest.mark.parametrize("xdm_class", CLASSES)
def test_every_shipped_field_is_described(xdm_class: XdmClass) -> None:
    for path, field in walk(whole(xdm_class)):
        assert field["title"], path
        assert len(field["description"]) > 8, path


@pytest.mark.parametrize("xdm_class", CLASSES)
def test_shipped_fields_keep_the_rules_of_custom_ones(xdm_class: XdmClass) -> None:
    properties = whole(xdm_class)["properties"]
    assert check_custom_fields({key: own_keywords(field) for key, field in properties.items()}) == []
    assert all(not collisions(field["properties"]) for _, field in walk(whole(xdm_class)) if "properties" in field)


@pytest.mark.parametrize("xdm_class", CLASSES)
def test_a_field_that_two_groups_bring_is_the_same_in_both(xdm_class: XdmClass) -> None:
    for group in field_groups(xdm_class):
        alone = compose(xdm_class, [group.name], None, "acme")
        for key, field in group.properties.items():
            assert alone["properties"][key] == field == whole(xdm_class)["properties"][key]


@pytest.mark.parametrize("xdm_class", CLASSES)
def test_one_shape_name_stands_for_one_shape(xdm_class: XdmClass) -> None:
    shapes: dict[str, Any] = {}
    for path, field in walk(whole(xdm_class)):
        if name := field.get("meta:typeName"):
            assert shapes.setdefault(name, field["properties"]) == field["properties"], path


def test_groups_have_short_names_of_their_class() -> None:
    names = {xdm_class: [group.name for group in field_groups(xdm_class)] for xdm_class in CLASSES}
    assert {"profile-person-details", "profile-consents", "profile-loyalty"} <= set(names[XdmClass.INDIVIDUAL_PROFILE])
    assert {"experienceevent-web", "experienceevent-commerce"} <= set(names[XdmClass.EXPERIENCE_EVENT])
    assert all(name.startswith("profile-") for name in names[XdmClass.INDIVIDUAL_PROFILE])
    assert all(name.startswith("experienceevent-") for name in names[XdmClass.EXPERIENCE_EVENT])


@pytest.mark.parametrize(
    ("xdm_class", "path", "xdm_type"),
    [
        (XdmClass.INDIVIDUAL_PROFILE, "person.name.courtesyTitle", "string"),
        (XdmClass.INDIVIDUAL_PROFILE, "person.birthDate", "date"),
        (XdmClass.INDIVIDUAL_PROFILE, "extSourceSystemAudit.lastUpdatedDate", "date-time"),
        (XdmClass.INDIVIDUAL_PROFILE, "homeAddress._schema.latitude", "double"),
        (XdmClass.INDIVIDUAL_PROFILE, "consents.marketing.whatsApp.val", "string"),
        (XdmClass.INDIVIDUAL_PROFILE, "identityMap", "map"),
        (XdmClass.INDIVIDUAL_PROFILE, "loyalty.loyaltyID", "array"),
        (XdmClass.EXPERIENCE_EVENT, "timestamp", "date-time"),
        (XdmClass.EXPERIENCE_EVENT, "web.webInteraction.linkClicks.value", "double"),
        (XdmClass.EXPERIENCE_EVENT, "commerce.order.payments", "array"),
        (XdmClass.EXPERIENCE_EVENT, "environment.browserDetails.viewportWidth", "integer"),
        (XdmClass.EXPERIENCE_EVENT, "placeContext.geo.dmaID", "integer"),
    ],
)
def test_standard_fields_have_their_types(xdm_class: XdmClass, path: str, xdm_type: str) -> None:
    field = field_at(whole(xdm_class), path)
    assert field is not None
    assert field["meta:xdmType"] == xdm_type


def test_a_schema_has_its_class_its_groups_and_the_tenants_fields() -> None:
    schema = compose(XdmClass.EXPERIENCE_EVENT, ["experienceevent-web"], {"seat": {"type": "integer"}}, "acme")
    assert schema["required"] == ["_id", "timestamp"]
    assert schema["meta:class"] == "_xdm.context.experienceevent"
    assert {"_id", "timestamp", "web", "_acme"} <= set(schema["properties"])
    assert "commerce" not in schema["properties"]
    seat = field_at(schema, "_acme.seat")
    assert seat == {"type": "integer", "meta:xdmType": "long", "minimum": -(2**53) + 1, "maximum": 2**53 - 1}


def test_no_groups_leave_the_class_alone() -> None:
    assert set(compose(XdmClass.INDIVIDUAL_PROFILE, [], None, "acme")["properties"]) == {
        "_id", "personID", "identityMap", "segmentMembership", "extSourceSystemAudit",
    }  # fmt: skip


def test_bad_schemas_are_refused_with_the_way_out() -> None:
    with pytest.raises(Invalid, match=r"'experienceevent-web'.*profile-consents"):
        compose(XdmClass.INDIVIDUAL_PROFILE, ["experienceevent-web"], None, "acme")
    with pytest.raises(Invalid, match=r"^size: 'type' is one of"):
        compose(XdmClass.INDIVIDUAL_PROFILE, None, {"size": {"type": "shoe"}}, "acme")
    with pytest.raises(Invalid, match="another code"):
        compose(XdmClass.INDIVIDUAL_PROFILE, None, {"size": {"type": "string"}}, "id")
