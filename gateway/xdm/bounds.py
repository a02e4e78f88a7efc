"""Limits on what custom fields hold: they bound the memory that a schema takes in the gateway and in its clients."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from gateway.xdm.fields import Field, Problem, child_path, children, complete
from gateway.xdm.patterns import compiled_size

MAX_BYTES: Final = 1_000_000
"""Bytes of JSON of one schema's custom fields."""
MAX_FIELDS: Final = 10_000
"""Custom fields of one schema."""
MAX_PATTERNS_BYTES: Final = 2 * 1024 * 1024
"""Bytes of one schema's patterns, compiled."""
MAX_TITLE: Final = 255
MAX_DESCRIPTION: Final = 10_000
MAX_ENUM_VALUE: Final = 1_000
"""Characters of a field's title, of its description, and of a value in its enum."""

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def check_bounds(custom_fields: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for everything beyond a limit, in custom fields in which `check_custom_fields` finds no problem."""
    if not custom_fields:
        return
    count, patterns = 0, 0
    for path, field in _fields("", custom_fields):
        count += 1
        yield from _check_texts(path, field)
        if isinstance(pattern := field.get("pattern"), str):
            patterns += compiled_size(pattern)
            if patterns > MAX_PATTERNS_BYTES:
                message = f"With this pattern the schema's patterns take more than {MAX_PATTERNS_BYTES // 2**20} MB compiled, the most of one schema."
                yield Problem(path, f"{message} Repetitions such as {{0,60}} are large; 'maxLength' is not.")
                return
    if count > MAX_FIELDS:
        yield Problem("", f"These are {count:,} fields; a schema takes up to {MAX_FIELDS:,} custom fields.")
    if (size := size_of(custom_fields)) > MAX_BYTES:
        yield Problem("", f"Custom fields take up to {MAX_BYTES:,} bytes of JSON; these are {size:,}.")


def size_of(custom_fields: Mapping[str, Any]) -> int:
    """Return the size of custom fields in bytes of JSON."""
    return len(orjson.dumps(custom_fields))


def count_of(custom_fields: Mapping[str, Any]) -> int:
    """Return the number of fields, nested ones included."""
    return sum(1 for _ in _fields("", custom_fields))


def _fields(path: str, properties: Mapping[str, Field]) -> Iterator[tuple[str, Field]]:
    for key, field in properties.items():
        yield child_path(path, key), field
        yield from _fields(child_path(path, key), dict(children(complete(field))))


def _check_texts(path: str, field: Field) -> Iterator[Problem]:
    for keyword, most in (("title", MAX_TITLE), ("description", MAX_DESCRIPTION)):
        text = field.get(keyword, "")
        if len(text) > most:
            yield Problem(path, f"{keyword!r} takes up to {most:,} characters; this one has {len(text):,}.")
        if _UNSTORABLE.search(text):
            yield Problem(path, f"{keyword!r} has a NUL character, which cannot be stored.")
    for value in field.get("enum", ()):
        if len(value) > MAX_ENUM_VALUE:
            yield Problem(path, f"A value of 'enum' takes up to {MAX_ENUM_VALUE:,} characters; one has {len(value):,}.")
        if _UNSTORABLE.search(value):
            yield Problem(path, "A value of 'enum' has a NUL character, which cannot be stored.")
