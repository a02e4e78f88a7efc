"""A person and an event of a small schema, for expressions in tests: something of every type."""

from typing import Any

from gateway.pql.check import Checked, check, event_type, profile_type
from gateway.pql.types import ObjectOf
from gateway.xdm.classes import XdmClass, compose

STRING, NUMBER, TIME = {"type": "string"}, {"type": "number"}, {"type": "string", "format": "date-time"}
ORDER = {
    "type": "object",
    "properties": {
        "storeId": STRING,
        "price": NUMBER,
        "placedAt": TIME,
        "lines": {
            "type": "array",
            "items": {"type": "object", "properties": {"SKU": STRING, "quantity": {"type": "integer"}}},
        },
    },
}
PROFILE_FIELDS: dict[str, Any] = {
    "orders": {"type": "array", "items": ORDER},
    "colors": {"type": "array", "items": STRING},
    "favorites": {"type": "array", "items": STRING},
    "scores": {"type": "array", "items": NUMBER},
    "points": {"type": "integer"},
    "ratio": NUMBER,
    "isMember": {"type": "boolean"},
    "joinedAt": TIME,
    "leftAt": TIME,
    "born": {"type": "string", "format": "date"},
    "tags": {"type": "object", "additionalProperties": STRING},
    "in": STRING,
    "with-hyphen": STRING,
}
EVENT_FIELDS: dict[str, Any] = {"amount": NUMBER, "note": STRING, "seenAt": TIME}


def schema(xdm_class: XdmClass) -> dict[str, Any]:
    """The union of the class; custom fields stand under `_acme`."""
    fields = PROFILE_FIELDS if xdm_class is XdmClass.INDIVIDUAL_PROFILE else EVENT_FIELDS
    return compose(xdm_class, None, fields, "acme")


EVENT: ObjectOf = event_type(schema(XdmClass.EXPERIENCE_EVENT))
PROFILE: ObjectOf = profile_type(schema(XdmClass.INDIVIDUAL_PROFILE), EVENT)


def checked(text: str, of: ObjectOf = PROFILE) -> Checked:
    """What is known of an expression over the sample."""
    return check(text, of)
