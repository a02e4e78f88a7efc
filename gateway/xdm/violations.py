"""Violations: errors of a document in plain words that do not depend on the validator underneath."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from jsonschema_rs import ValidationError

MAX_DOCUMENT_DEPTH: Final = 32
_MAX_QUOTED: Final = 40
_MAX_KEY: Final = 100

# RFC 3339 in the part of it that Python and Postgres share: four-digit years from 1000, and no offset and no leap second where it would
# push the first year or the last one over its end.
DATE_TIME_PATTERN = (
    "^(?:(?:1[1-9][0-9]{2}|10[1-9][0-9]|100[1-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-.{5}[Tt].{6}(?:[0-5][0-9]|60)(?:[.][0-9]{1,9})?(?:[Zz]|[+-].{5})"
    "|1000-.{5}[Tt].{6}(?:[0-5][0-9]|60)(?:[.][0-9]{1,9})?(?:[Zz]|[+]00:00|-.{5})"
    "|9999-.{5}[Tt].{6}[0-5][0-9](?:[.][0-9]{1,9})?(?:[Zz]|[+-]00:00))$"
)
DATE_PATTERN = "^[1-9]"
STORABLE_PATTERN = "^[^\\x00]*$"
EMAIL_PATTERN = "^(?: |[^\\p{Cc}\\p{Cf}\\p{Z}\\p{Default_Ignorable_Code_Point}\\u2800])*$"  # no invisible characters
_SURROGATES = re.compile("[\ud800-\udfff]")
OUT_OF_RANGE: Final = "Numbers lie between -1.8e308 and 1.8e308; this one does not"
_UNSTORABLE = "a character that cannot be stored: NUL, or half of a surrogate pair"
_FORMAT_PATTERNS = frozenset({DATE_TIME_PATTERN, DATE_PATTERN})


@dataclass(frozen=True, slots=True)
class Violation:
    """An error in a document: its path (`$.person.name.firstName`), its code, and a sentence for a person."""

    path: str
    code: str
    message: str


class TooLarge(float):
    """A number of a document that no double can hold. Its value is infinity, which JSON itself cannot write."""

    __slots__ = ()


def is_readable(document: Any) -> bool:
    """Return whether `unreadable` yields nothing, level by level, in a thirtieth of its time."""
    level = [document]
    for _ in range(MAX_DOCUMENT_DEPTH):
        kinds = set(map(type, level))
        objects = [value for value in level if type(value) is dict] if dict in kinds else []
        texts = [value for value in level if type(value) is str] if str in kinds else []
        if TooLarge in kinds or not _storable("".join(chain(texts, *objects))):
            return False
        lists = [value for value in level if type(value) is list] if list in kinds else []
        level = [child for parent in (*map(dict.values, objects), *lists) for child in parent]
        if not level:
            return True
    return not any(isinstance(value, dict | list) for value in level)


def unreadable(value: Any, path: str = "$", depth: int = 1) -> Iterator[Violation]:
    """Yield violations that no schema can allow: nesting beyond MAX_DOCUMENT_DEPTH, numbers beyond doubles, NUL and lone surrogates."""
    if isinstance(value, str):
        if not _storable(value):
            yield Violation(path, "CHARACTER", f"The text holds {_UNSTORABLE}.")
    elif isinstance(value, TooLarge):
        yield Violation(path, "RANGE", OUT_OF_RANGE + ".")
    elif isinstance(value, dict | list) and depth > MAX_DOCUMENT_DEPTH:
        yield Violation(path, "DEPTH", f"Documents nest up to {MAX_DOCUMENT_DEPTH} levels.")
    elif isinstance(value, dict):
        for key, child in value.items():
            if _storable(key):
                yield from unreadable(child, path + _step(key), depth + 1)
            else:
                yield Violation(path, "CHARACTER", f"A field name holds {_UNSTORABLE}.")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from unreadable(child, f"{path}[{index}]", depth + 1)


def _storable(text: str) -> bool:
    return "\x00" not in text and not _SURROGATES.search(text)


# ------------------------------------------------------------------------------------------------ errors in plain words

PRECEDENCE: Final = ("EMPTY_VALUE", "UNKNOWN_FIELD", "REQUIRED", "TYPE", "FORMAT", "ENUM", "RANGE", "LENGTH", "PATTERN")
"""Codes in the order in which one is chosen for a path that breaks several rules."""
_TYPE_WORDS: Final = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "an object", "null": "null",
}  # fmt: skip
_KIND_WORDS: Final = {
    kind: _TYPE_WORDS[name]
    for kind, name in (
        (bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (object, "object"),
    )
}  # fmt: skip  # a bool is an int, too: the first that fits
_FORMAT_WORDS: Final = {
    "date": "a date such as 1985-04-12",
    "date-time": "a time with a time zone, such as 2024-05-01T12:30:00.000Z",
    "email": "an e-mail address such as ada@example.com",
    "uri": "an absolute URI such as https://example.com/a",
}


def explain_error(error: ValidationError) -> Iterator[Violation]:
    """Yield the violations that one error of the validator stands for."""
    path, value, kind = _path(error.instance_path), error.instance, error.kind.name
    details = error.kind.as_dict()
    if value is None or value in ("", [], {}):
        yield Violation(path, "EMPTY_VALUE", "The value is empty; leave the field out instead.")
    elif kind == "additionalProperties":
        for key in details["unexpected"]:
            message = f"The schema has no field {_quoted(key)} here; check its spelling, or add it to the schema."
            yield Violation(path + _step(key), "UNKNOWN_FIELD", message)
    elif kind == "required":
        name = details["property"]
        yield Violation(path + _step(name), "REQUIRED", f"{name} is required.")
    elif kind == "propertyNames":
        yield Violation(path, "EMPTY_VALUE", "A key of this map is empty.")
    else:
        code, message = _MESSAGES[kind](value, details)
        yield Violation(path, code, message)


def _type(value: Any, details: dict[str, Any]) -> tuple[str, str]:
    expected = " or ".join(_TYPE_WORDS[name] for name in details["types"] if name != "null")
    return (
        "TYPE",
        f"Expected {expected}, got {next(words for kind, words in _KIND_WORDS.items() if isinstance(value, kind))}.",
    )


def _format(value: Any, details: dict[str, Any]) -> tuple[str, str]:
    return "FORMAT", f"{_quoted(value)} is not {_FORMAT_WORDS[details['format']]}."


def _address(value: Any, _: dict[str, Any]) -> tuple[str, str]:
    return _format(value, {"format": "email"})


def _pattern(value: Any, details: dict[str, Any]) -> tuple[str, str]:
    if details["pattern"] in _FORMAT_PATTERNS:
        return _format(value, {"format": "date" if details["pattern"] == DATE_PATTERN else "date-time"})
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
    "anyOf": _address,
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
    """Return one step of a path into an object: `.key`, or the key in brackets if it is no identifier."""
    if len(key) > _MAX_KEY:
        key = key[:_MAX_KEY] + "…"
    return f".{key}" if key.isidentifier() else f"[{key!r}]"


def _quoted(value: Any) -> str:
    """Return a value as it is quoted in a message: never more than forty characters of it."""
    text = str(value)
    return (
        repr(text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 1] + "…")
        if isinstance(value, str)
        else text[:_MAX_QUOTED]
    )
