"""Documents against a schema: the same plain answer for the same fault, whatever validator works underneath.

Codes of violations:

    TYPE            a value of another type          REQUIRED       a required field is missing
    FORMAT          not a date, date-time, URI …     UNKNOWN_FIELD  the schema has no such field
    RANGE           a number too small or too large  EMPTY_VALUE    null, "", [] or {}: leave the field out
    ENUM            none of the listed values        DEPTH          nested deeper than MAX_DEPTH
    LENGTH          a text too short or too long     CHARACTER      a character that cannot be stored
    PATTERN         a text of another shape

A whole document (`partial=False`) may hold no empty value anywhere. A partial one (`partial=True`: a merge patch,
RFC 7396) is held to the same rules but for two: nothing is required, and null, which removes, may stand for any field
and map value that is not required. Arrays replace, so what is inside them is always held to the full rules. That the
row still names its primary identity is for the caller to check, who knows the identity descriptors.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Final

from jsonschema_rs import Draft7Validator, EmailOptions, RegexOptions, ValidationError

from gateway.xdm.fields import Field

MAX_DEPTH: Final = 32
MAX_VIOLATIONS: Final = 5
_MAX_QUOTED: Final = 40
_MAX_KEY: Final = 100

# RFC 3339 in the part of it that Python and Postgres share: four-digit years from 1000, no leap second, and no offset
# where it would push the last year over its end.
_DATE_TIME = (
    "^(?:(?:[1-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-.{5}T.{6}[0-5][0-9](?:[.][0-9]{1,9})?(?:Z|[+-].{5})"
    "|9999-.{5}T.{6}[0-5][0-9](?:[.][0-9]{1,9})?(?:Z|[+-]00:00))$"
)
_DATE = "^[1-9]"
_STORABLE = "^[^\\x00]*$"
_FORMAT_PATTERNS = frozenset({_DATE_TIME, _DATE})


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault of a document: where (`$.person.name.firstName`), which code, and a sentence for a person."""

    path: str
    code: str
    message: str


class Validator:
    """Checks documents, as `orjson.loads` gives them, against one schema. Compiled once; safe to share."""

    def __init__(self, schema: Field) -> None:
        self._schema = schema
        self._whole = _compiled(schema, partial=False)

    def is_valid(self, document: Any, *, partial: bool = False) -> bool:
        """True exactly if `violations` finds nothing; the fast path."""
        try:
            return (self._partial if partial else self._whole).is_valid(document)
        except ValueError:  # too deep to walk, or text that is not Unicode; `violations` says which
            return False

    def violations(self, document: Any, *, partial: bool = False) -> list[Violation]:
        """What is wrong with the document, at most five faults, one for each place; empty if nothing is."""
        if self.is_valid(document, partial=partial):
            return []
        if unreadable := list(islice(_unreadable(document), MAX_VIOLATIONS)):
            return unreadable
        worst: dict[str, Violation] = {}
        for error in (self._partial if partial else self._whole).iter_errors(document):
            for violation in _explained(error):
                known = worst.get(violation.path)
                if known is None or _PRECEDENCE.index(violation.code) < _PRECEDENCE.index(known.code):
                    worst[violation.path] = violation
            if len(worst) > MAX_VIOLATIONS:
                break
        return list(worst.values())[:MAX_VIOLATIONS]

    @cached_property
    def _partial(self) -> Draft7Validator:
        return _compiled(self._schema, partial=True)


# ------------------------------------------------------------------------------------------------ schemas that refuse empty values


def _compiled(schema: Field, *, partial: bool) -> Draft7Validator:
    return Draft7Validator(
        _strict(schema, partial=partial),
        validate_formats=True,
        pattern_options=RegexOptions(),  # linear time, whatever the pattern and the text
        email_options=EmailOptions(allow_display_text=False, allow_domain_literal=False),
    )


def _strict(field: Field, *, partial: bool, nullable: bool = False) -> dict[str, Any]:
    """The field as the validator sees it: its own rules, and no empty value at any level."""
    match field["meta:xdmType"]:
        case "object":
            rules = _strict_object(field, partial=partial)
        case "map":
            value = _strict(field["additionalProperties"], partial=partial, nullable=partial)
            rules = {"minProperties": 1, "propertyNames": {"minLength": 1}, "additionalProperties": value}
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


def _strict_leaf(field: Field) -> dict[str, Any]:
    rules: dict[str, Any] = {
        keyword: field[keyword] for keyword in ("minimum", "maximum", "enum", "format", "maxLength") if keyword in field
    }
    if field["type"] != "string" or "enum" in field:
        return rules
    rules["minLength"] = max(1, field.get("minLength", 1))
    own = {"date": _DATE, "date-time": _DATE_TIME}.get(field["meta:xdmType"], _STORABLE)
    if "pattern" in field:
        return rules | {"pattern": field["pattern"], "allOf": [{"pattern": own}]}
    return rules | {"pattern": own}


# ------------------------------------------------------------------------------------------------ what no schema can walk


def _unreadable(value: Any, path: str = "$", depth: int = 1) -> Iterator[Violation]:
    """Nesting beyond any schema, and characters that Postgres cannot store (NUL, lone surrogates)."""
    if isinstance(value, str):
        if not _storable(value):
            yield Violation(
                path, "CHARACTER", "The text holds a character that cannot be stored: NUL, or half of a surrogate pair."
            )
    elif isinstance(value, dict | list) and depth > MAX_DEPTH:
        yield Violation(_clipped_path(path), "DEPTH", f"Documents nest up to {MAX_DEPTH} levels.")
    elif isinstance(value, dict):
        for key, child in value.items():
            if _storable(key):
                yield from _unreadable(child, path + _step(key), depth + 1)
            else:
                yield Violation(
                    path,
                    "CHARACTER",
                    "A field name holds a character that cannot be stored: NUL, or half of a surrogate pair.",
                )
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _unreadable(child, f"{path}[{index}]", depth + 1)


def _storable(text: str) -> bool:
    return "\x00" not in text and not any(
        "\ud800" <= character <= "\udfff" for character in text if character > "\ud7ff"
    )


def _clipped_path(path: str) -> str:
    return path if len(path) <= 2 * _MAX_KEY else path[: 2 * _MAX_KEY] + "…"


# ------------------------------------------------------------------------------------------------ errors in plain words

_PRECEDENCE: Final = (
    "EMPTY_VALUE",
    "UNKNOWN_FIELD",
    "REQUIRED",
    "TYPE",
    "FORMAT",
    "ENUM",
    "RANGE",
    "LENGTH",
    "PATTERN",
)
"""Which code tells most, where one place breaks several rules."""
_TYPE_WORDS: Final = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "an object", "null": "null",
}  # fmt: skip
_FORMAT_WORDS: Final = {
    "date": "a date such as 1985-04-12",
    "date-time": "a time with a time zone, such as 2024-05-01T12:30:00.000Z",
    "email": "an e-mail address such as ada@example.com",
    "uri": "an absolute URI such as https://example.com/a",
}


def _explained(error: ValidationError) -> Iterator[Violation]:
    """The violations that one error of the validator stands for."""
    path, value, kind = _path(error.instance_path), error.instance, error.kind.name
    details = error.kind.as_dict()
    if value is None or value in ("", [], {}):
        yield Violation(path, "EMPTY_VALUE", "The value is empty; leave the field out instead.")
    elif kind == "additionalProperties":
        for key in details["unexpected"]:
            yield Violation(path + _step(key), "UNKNOWN_FIELD", _unknown_field(key))
    elif kind == "required":
        name = details["property"]
        yield Violation(path + _step(name), "REQUIRED", f"{name} is required.")
    elif kind == "propertyNames":
        yield Violation(path, "EMPTY_VALUE", "A key of this map is empty.")
    else:
        code, message = _MESSAGES[kind](value, details)
        yield Violation(path, code, message)


def _unknown_field(key: str) -> str:
    return f"The schema has no field {_quoted(key)} here; check its spelling, or add it to the schema."


def _type(value: Any, details: dict[str, Any]) -> tuple[str, str]:
    expected = " or ".join(_TYPE_WORDS[name] for name in details["types"] if name != "null")
    return "TYPE", f"Expected {expected}, got {_TYPE_WORDS[_json_type(value)]}."


def _json_type(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _format(value: Any, details: dict[str, Any]) -> tuple[str, str]:
    return "FORMAT", f"{_quoted(value)} is not {_FORMAT_WORDS[details['format']]}."


def _pattern(value: Any, details: dict[str, Any]) -> tuple[str, str]:
    if details["pattern"] in _FORMAT_PATTERNS:
        return _format(value, {"format": "date" if details["pattern"] == _DATE else "date-time"})
    return "PATTERN", f"{_quoted(value)} does not match the pattern {details['pattern']}"


def _enum(value: Any, details: dict[str, Any]) -> tuple[str, str]:
    options = [option for option in details["options"] if option is not None]
    listed = ", ".join(options[:20]) + (", …" if len(options) > 20 else "")
    return "ENUM", f"{_quoted(value)} is none of: {listed}."


def _range(limit: str) -> Callable[[Any, dict[str, Any]], tuple[str, str]]:
    return lambda value, details: ("RANGE", f"{_quoted(value)} is {limit} {details['limit']}.")


def _length(limit: str) -> Callable[[Any, dict[str, Any]], tuple[str, str]]:
    return lambda value, details: (
        "LENGTH",
        f"The text has {len(value)} characters; {limit} {details['limit']} are allowed.",
    )


_MESSAGES: Final[Mapping[str, Callable[[Any, dict[str, Any]], tuple[str, str]]]] = {
    "type": _type,
    "format": _format,
    "pattern": _pattern,
    "enum": _enum,
    "minimum": _range("less than the least value,"),
    "maximum": _range("more than the greatest value,"),
    "minLength": _length("no fewer than"),
    "maxLength": _length("no more than"),
}


def _path(steps: list[str | int]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else _step(step) for step in steps)


def _step(key: str) -> str:
    """One step of a path into an object; keys that are no plain names stand in brackets."""
    if len(key) > _MAX_KEY:
        key = key[:_MAX_KEY] + "…"
    return f".{key}" if key.isidentifier() else f"[{key!r}]"


def _quoted(value: Any) -> str:
    """A value in a message; never more than forty characters of it."""
    text = str(value)
    return (
        repr(text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 1] + "…")
        if isinstance(value, str)
        else text[:_MAX_QUOTED]
    )
