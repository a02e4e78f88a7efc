"""The normalized form of leaf values: values that can be written in several ways are stored, compared and returned in one.

    date-time   UTC with milliseconds: `2024-05-01T14:00:00+02:00` is `2024-05-01T12:00:00.000Z`; finer fractions are cut, and a leap
                second is the second after it
    integers    without fraction or exponent: `1.0` is `1`

Fields of other types have one form already.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from gateway.xdm.fields import RANGES, Field

Form: TypeAlias = Callable[[Any], Any]
"""Returns a value in its normalized form; the value itself if it has that already. It never changes its argument."""

FORMED_TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z$"
"""A regular expression, of Python and of SQL's JSON paths, for date-times in their normalized form."""

_SECOND: Final = timedelta(seconds=1)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def instant(text: str) -> datetime:
    """Return the point in time of a valid date-time, in UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:  # small letters, or a leap second
        text = text.upper()
        at = (
            datetime.fromisoformat(f"{text[:17]}59{text[19:]}") + _SECOND
            if text[17:19] == "60"
            else datetime.fromisoformat(text)
        )
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def formed_time(text: str) -> str | None:
    """Return the normalized form of a text that is a date-time; None for any other text."""
    if not _TIME.fullmatch(text):
        return None
    try:
        return _date_time(text)
    except (ValueError, OverflowError):  # the 31st of February, or beyond the last year
        return None


def form_of(schema: Field) -> Form:
    """Return the function that normalizes the leaf values of valid documents of this schema."""
    return _form(schema) or _same


def changed_leaves(before: Any, after: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of `before` that are written otherwise in `after`, its normalized form, by their JSON pointers (RFC 6901)."""
    if before is after:
        return
    if isinstance(after, dict):
        for key, value in after.items():
            yield from changed_leaves(before[key], value, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(after, list):
        for place, value in enumerate(after):
            yield from changed_leaves(before[place], value, f"{pointer}/{place}")
    else:
        yield pointer, before


def with_leaves(document: dict[str, Any], leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Put leaves back to the places of their JSON pointers, and return the document, which is changed: the reverse of `changed_leaves`."""
    for pointer, value in leaves.items():
        holder: Any = document
        *steps, last = (step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
        for step in steps:
            holder = holder[int(step) if isinstance(holder, list) else step]
        holder[int(last) if isinstance(holder, list) else last] = value
    return document


# ------------------------------------------------------------------------------------------------ forms by types of fields


def _form(field: Field) -> Form | None:
    """Return the function that normalizes values of the field; None if they have one form only."""
    match field["meta:xdmType"]:
        case "object":
            forms = {key: _form(child) for key, child in field["properties"].items()}
            known = {key: form for key, form in forms.items() if form is not None}
            return _of_object(known.get) if known else None
        case "map":
            value = _form(field["additionalProperties"])
            return None if value is None else _of_object(lambda _: value)
        case "array":
            item = _form(field["items"])
            return None if item is None else _of_array(item)
        case "date-time":
            return _date_time
        case kind:
            return _whole_number if kind in RANGES else None


def _same(value: Any) -> Any:
    return value


def _date_time(text: str) -> str:
    if text[-1] == "Z" and text[10] == "T" and text[17:19] != "60":
        if len(text) == len("2024-05-01T12:00:00.000Z"):
            return text
        if len(text) == len("2024-05-01T12:00:00Z"):
            return f"{text[:19]}.000Z"
    return f"{instant(text).isoformat(timespec='milliseconds')[:-6]}Z"


def _whole_number(number: Any) -> Any:
    return int(number) if isinstance(number, float) else number


def _of_object(form_of_key: Callable[[str], Form | None]) -> Form:
    """Return the function that normalizes an object or a map. Null, which removes a field in a partial document, stays null."""

    def form(value: dict[str, Any]) -> dict[str, Any]:
        after = value
        for key, child in value.items():
            formed = form_of_key(key)
            if formed is not None and child is not None and (other := formed(child)) is not child:
                if after is value:
                    after = {**value}
                after[key] = other
        return after

    return form


def _of_array(formed: Form) -> Form:
    def form(value: list[Any]) -> list[Any]:
        after = value
        for place, item in enumerate(value):
            if (other := formed(item)) is not item:
                if after is value:
                    after = [*value]
                after[place] = other
        return after

    return form
