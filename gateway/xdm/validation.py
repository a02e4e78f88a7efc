"""Validation of documents against a schema, with answers in plain words that do not depend on the validator underneath.

A whole document (`partial=False`) may hold no empty value anywhere. A partial one (`partial=True`: a merge patch,
RFC 7396) is held to these rules with two exceptions: no field is required, and null, which removes, is allowed for any
field and map value that is not required. Arrays replace, so their elements are always held to the full rules. The caller
checks that the document still names its primary identity, as the caller knows the identity descriptors.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from threading import Lock
from typing import Any, Final

from jsonschema_rs import Draft7Validator, EmailOptions

from gateway.xdm import patterns
from gateway.xdm.fields import Field, children
from gateway.xdm.leaves import Form, form_of
from gateway.xdm.parts import Part, parts_of
from gateway.xdm.violations import (
    DATE_PATTERN,
    DATE_TIME_PATTERN,
    EMAIL_PATTERN,
    PRECEDENCE,
    STORABLE_PATTERN,
    Violation,
    explain_error,
    is_readable,
    unreadable,
)

MAX_VIOLATIONS: Final = 20
"""The most violations that one document is reported with."""
MAX_VIOLATION_CHARACTERS: Final = 4_000
"""The most characters of the violations of one document; a single violation may have more."""
FIELD_BYTES: Final = 3_000
"""Bytes that the validator of a field takes, as measured."""
MAX_SURVEYED: Final = 200
"""Values that the validator is given at once to find every fault in: it makes an object of each, so 30,000 faults take it 200 ms."""


class Validator:
    """Checks documents, as `orjson.loads` gives them, against one schema. Compiled when first used; safe to share."""

    def __init__(self, schema: Field) -> None:
        self._schema = schema
        self._compiling = Lock()

    def compile(self, *, partial: bool) -> None:
        """Compile the validator for whole or for partial documents, in any thread. Raises ValueError if it cannot be compiled."""
        with self._compiling:
            _ = self._partial if partial else self._whole

    def is_compiled(self, *, partial: bool) -> bool:
        """Return whether the validator for whole or for partial documents is compiled."""
        return ("_partial" if partial else "_whole") in self.__dict__

    def is_valid(self, document: Any, *, partial: bool = False) -> bool:
        """Return True exactly if `violations` finds nothing, in less time."""
        try:
            return (self._partial if partial else self._whole).is_valid(document)
        except ValueError:  # too deep to walk, or text that is not Unicode; `violations` says which
            return False

    def violations(self, document: Any, *, partial: bool = False) -> list[Violation]:
        """Return the document's violations, one for each path, the first MAX_VIOLATIONS of them; an empty list if it is valid."""
        if self.is_valid(document, partial=partial):
            return []
        if not is_readable(document):
            return first_of(unreadable(document))
        worst: dict[str, Violation] = {}
        for part in parts_of(document, MAX_SURVEYED, worst.keys()):
            for violation in _faults(self._partial if partial else self._whole, document, part):
                known = worst.get(violation.path)
                if known is None or PRECEDENCE.index(violation.code) < PRECEDENCE.index(known.code):
                    worst[violation.path] = violation
            if len(worst) >= MAX_VIOLATIONS:
                break
        return first_of(worst.values())

    @cached_property
    def _whole(self) -> Draft7Validator:
        return _compiled(self._schema, partial=False)

    @cached_property
    def form(self) -> Form:
        """The function that normalizes the leaf values of a valid document (`leaves`)."""
        return form_of(self._schema)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all fields of the schema, at whatever place."""
        return frozenset(_names(self._schema))

    @cached_property
    def _partial(self) -> Draft7Validator:
        return _compiled(self._schema, partial=True)


def _names(field: Field) -> Iterator[str]:
    for name, child in children(field):
        yield name
        yield from _names(child)


def first_of(violations: Iterable[Violation]) -> list[Violation]:
    """Return the first violations, as many as one document is reported with."""
    found, room = list[Violation](), MAX_VIOLATION_CHARACTERS
    for violation in islice(violations, MAX_VIOLATIONS):
        room -= len(violation.path) + len(violation.message)
        if found and room < 0:
            break
        found.append(violation)
    return found


def _faults(validator: Draft7Validator, document: Any, part: Part) -> Iterator[Violation]:
    """Yield the violations of a part, without those that only the cut has made."""
    for error in validator.iter_errors(part.value):
        steps = part.place(error.instance_path)
        if error.kind.name == "required" and error.kind.as_dict()["property"] in _at(document, steps):
            continue
        yield from explain_error(error, steps)


def _at(document: Any, steps: Iterable[str | int]) -> Any:
    for step in steps:
        document = document[step]
    return document


def weight(field: Field) -> int:
    """Return about how many bytes the validators of a field take, for whole and for partial documents together."""
    own = FIELD_BYTES + 100 * len(field.get("enum", ()))
    if "pattern" in field:
        own += patterns.compiled_size(field["pattern"])
    return 2 * own + sum(weight(child) for _, child in children(field))


# ------------------------------------------------------------------------------------------------ schemas that refuse empty values


def _compiled(schema: Field, *, partial: bool) -> Draft7Validator:
    return Draft7Validator(
        _strict(schema, partial=partial),
        validate_formats=True,
        pattern_options=patterns.OPTIONS,  # linear time, whatever the pattern and the text
        email_options=EmailOptions(allow_display_text=False, allow_domain_literal=False),
    )


def _strict(field: Field, *, partial: bool, nullable: bool = False) -> dict[str, Any]:
    """Return the JSON Schema that the validator gets: the field's rules, and no empty value at any level."""
    match field["meta:xdmType"]:
        case "object":
            rules = _strict_object(field, partial=partial)
        case "map":
            value = _strict(field["additionalProperties"], partial=partial, nullable=partial)
            names = {"minLength": 1, "pattern": STORABLE_PATTERN}
            rules = {"minProperties": 1, "propertyNames": names, "additionalProperties": value}
        case "array":
            rules = {"minItems": 1, "items": _strict(field["items"], partial=False)}
        case _:
            rules = _strict_leaf(field)
    if nullable and "enum" in rules:
        rules["enum"] = [*rules["enum"], None]
    return rules | {"type": [field["type"], "null"] if nullable else field["type"]}


def _strict_object(field: Field, *, partial: bool) -> dict[str, Any]:
    required = field.get("required", [])
    properties = {
        key: _strict(child, partial=partial, nullable=partial and key not in required)
        for key, child in field["properties"].items()
    }
    rules = {"minProperties": 1, "properties": properties, "additionalProperties": False}
    return rules if partial else rules | {"required": required}


_ADDRESSES: Final = [{"format": "email"}, {"format": "idn-email", "pattern": EMAIL_PATTERN}]
"""Most addresses are plain, which is checked faster; internationalized ones (RFC 6531) have no invisible characters."""


def _strict_leaf(field: Field) -> dict[str, Any]:
    rules: dict[str, Any] = {
        keyword: field[keyword] for keyword in ("minimum", "maximum", "enum", "format", "maxLength") if keyword in field
    }
    if field["type"] != "string" or "enum" in field:
        return rules
    rules["minLength"] = max(1, field.get("minLength", 1))
    if rules.get("format") == "email":
        del rules["format"]
        rules["anyOf"] = _ADDRESSES
        return rules | ({"pattern": field["pattern"]} if "pattern" in field else {})
    own = {"date": DATE_PATTERN, "date-time": DATE_TIME_PATTERN}.get(field["meta:xdmType"], STORABLE_PATTERN)
    if "pattern" in field:
        return rules | {"pattern": field["pattern"], "allOf": [{"pattern": own}]}
    return rules | {"pattern": own}
