"""Violations: rules that a document breaks, in plain words that do not depend on the validator underneath.

No sentence quotes a value of the document: sentences go to logs, terminals and people who may not see the data of people.
"""

import re
from ast import literal_eval
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any, Final

from jsonschema_rs import ValidationError

MAX_DOCUMENT_DEPTH: Final = 32
_MAX_QUOTED: Final = 40
_STEP: Final = re.compile(r"""\.([^.[]+)|\[('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]""")
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


class ViolationCode(StrEnum):
    """What can be wrong with a document, refused or stored: the closed list, for programs. `docs/ingest.md` says what each means."""

    JSON = "JSON"
    SIZE = "SIZE"
    DEPTH = "DEPTH"
    CHARACTER = "CHARACTER"
    TYPE = "TYPE"
    FORMAT = "FORMAT"
    PATTERN = "PATTERN"
    ENUM = "ENUM"
    RANGE = "RANGE"
    LENGTH = "LENGTH"
    REQUIRED = "REQUIRED"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    EMPTY_VALUE = "EMPTY_VALUE"
    IDENTITY_MISSING = "IDENTITY_MISSING"
    IDENTITY_COUNT = "IDENTITY_COUNT"
    IDENTITY_NAMESPACE = "IDENTITY_NAMESPACE"
    IDENTITY_VALUE = "IDENTITY_VALUE"
    IDENTITY_PRIMARY = "IDENTITY_PRIMARY"
    IDENTITY_PLACEHOLDER = "IDENTITY_PLACEHOLDER"
    IDENTITY_E164 = "IDENTITY_E164"
    IDENTITY_CAP = "IDENTITY_CAP"
    FUTURE_TIME = "FUTURE_TIME"
    EXPIRED = "EXPIRED"
    EVENT_DIFFERS = "EVENT_DIFFERS"
    ERASED_IDENTITY = "ERASED_IDENTITY"
    UNSTORABLE = "UNSTORABLE"


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a document breaks: a JSON path (`$.person.name.firstName`), the code of the rule, and a sentence for a person."""

    path: str
    code: ViolationCode
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
            yield Violation(path, ViolationCode.CHARACTER, f"The text holds {_UNSTORABLE}.")
    elif isinstance(value, TooLarge):
        yield Violation(path, ViolationCode.RANGE, OUT_OF_RANGE + ".")
    elif isinstance(value, dict | list) and depth > MAX_DOCUMENT_DEPTH:
        yield Violation(path, ViolationCode.DEPTH, f"Documents nest up to {MAX_DOCUMENT_DEPTH} levels.")
    elif isinstance(value, dict):
        for key, child in value.items():
            if _storable(key):
                yield from unreadable(child, path + step_to(key), depth + 1)
            else:
                yield Violation(path, ViolationCode.CHARACTER, f"A field name holds {_UNSTORABLE}.")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from unreadable(child, f"{path}[{index}]", depth + 1)


def _storable(text: str) -> bool:
    return "\x00" not in text and not _SURROGATES.search(text)


# ------------------------------------------------------------------------------------------------ errors in plain words

PRECEDENCE: Final = (
    *(ViolationCode.EMPTY_VALUE, ViolationCode.UNKNOWN_FIELD, ViolationCode.REQUIRED, ViolationCode.TYPE),
    *(ViolationCode.FORMAT, ViolationCode.ENUM, ViolationCode.RANGE, ViolationCode.LENGTH, ViolationCode.PATTERN),
)
"""Codes of the validator, in the order in which one is chosen for a path that breaks several rules."""
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


def explain_error(error: ValidationError, steps: Sequence[str | int]) -> Iterator[Violation]:
    """Yield the violations that one error of the validator stands for. `steps` lead to its place in the document."""
    path, value, kind = path_of(steps), error.instance, error.kind.name
    details = error.kind.as_dict()
    if value is None or value in ("", [], {}):
        yield Violation(path, ViolationCode.EMPTY_VALUE, "The value is empty; leave the field out instead.")
    elif kind == "additionalProperties":
        for key in details["unexpected"]:
            message = f"The schema has no field {_shortened(key)!r} here; check its spelling, or add it to the schema."
            yield Violation(path + step_to(key), ViolationCode.UNKNOWN_FIELD, message)
    elif kind == "required":
        name = details["property"]
        yield Violation(path + step_to(name), ViolationCode.REQUIRED, f"{name} is required.")
    elif kind == "propertyNames":
        yield Violation(path, ViolationCode.EMPTY_VALUE, "A key of this map is empty.")
    else:
        code, message = _MESSAGES[kind](value, details)
        yield Violation(path, code, message)


def _type(value: Any, details: dict[str, Any]) -> tuple[ViolationCode, str]:
    expected = " or ".join(_TYPE_WORDS[name] for name in details["types"] if name != "null")
    return (
        ViolationCode.TYPE,
        f"Expected {expected}, got {next(words for kind, words in _KIND_WORDS.items() if isinstance(value, kind))}.",
    )


def _format(_: Any, details: dict[str, Any]) -> tuple[ViolationCode, str]:
    return ViolationCode.FORMAT, f"The text is not {_FORMAT_WORDS[details['format']]}."


def _address(value: Any, _: dict[str, Any]) -> tuple[ViolationCode, str]:
    return _format(value, {"format": "email"})


def _pattern(value: Any, details: dict[str, Any]) -> tuple[ViolationCode, str]:
    if details["pattern"] in _FORMAT_PATTERNS:
        return _format(value, {"format": "date" if details["pattern"] == DATE_PATTERN else "date-time"})
    return ViolationCode.PATTERN, f"The text does not match the pattern {details['pattern']}"


def _enum(_: Any, details: dict[str, Any]) -> tuple[ViolationCode, str]:
    options = [option for option in details["options"] if option is not None]
    listed = ", ".join(options[:20]) + (", …" if len(options) > 20 else "")
    return ViolationCode.ENUM, f"The value is none of: {listed}."


def _range(limit: str) -> Callable[[Any, dict[str, Any]], tuple[ViolationCode, str]]:
    return lambda _, details: (ViolationCode.RANGE, f"The number is {limit} {details['limit']}.")


def _length(limit: str) -> Callable[[Any, dict[str, Any]], tuple[ViolationCode, str]]:
    return lambda value, details: (
        ViolationCode.LENGTH,
        f"The text has {len(value)} characters; {limit} {details['limit']} are allowed.",
    )


_MESSAGES: Final[Mapping[str, Callable[[Any, dict[str, Any]], tuple[ViolationCode, str]]]] = {
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


def path_of(steps: Iterable[str | int]) -> str:
    """Return the JSON path to which these steps lead."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else step_to(step) for step in steps)


def step_to(key: str) -> str:
    """Return one step of a path into an object: `.key`, or the key in brackets if it is no identifier."""
    if len(key) > _MAX_KEY:
        key = key[:_MAX_KEY] + "…"
    return f".{key}" if key.isidentifier() else f"[{key!r}]"


def keys_in(path: str) -> Iterator[str]:
    """Yield the keys of objects by which a JSON path leads, as `step_to` writes them: those that are too long to be whole are cut."""
    for name, quoted in _STEP.findall(path):
        yield name or literal_eval(quoted)


def _shortened(key: str) -> str:
    """Return a field's name as it is quoted in a sentence: never more than forty characters of it."""
    return key if len(key) <= _MAX_QUOTED else key[: _MAX_QUOTED - 1] + "…"
