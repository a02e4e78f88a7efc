"""Bodies that are JSON with values that cannot be stored: half of a surrogate pair, or a number beyond the range of doubles.

The strict parser refuses such a body as a whole. This slower one reads it, so that only the documents with such values fail.
"""

import json
from typing import Any, Final

import orjson

from gateway.runtime.threads import DOCUMENTS
from gateway.xdm.violations import TooLarge

MAX_LOOP_BYTES: Final = 16_000
"""Of a body that is parsed on the event loop, in about a millisecond; longer ones are parsed in a thread."""

LENIENT_ERRORS: Final = {
    "number is infinity when parsed as double",
    *("no low surrogate in string", "invalid low surrogate in string", "invalid high surrogate in string"),
}
"""Messages of the strict parser about values that this one reads."""

_DIGITS: Final = 20  # of the largest whole number that is read as an integer


async def read_leniently(text: bytes, error: orjson.JSONDecodeError) -> Any:
    """Return the value of a text that the strict parser refused with `error`; numbers beyond the range of doubles are `TooLarge`.

    Raises `error` where the text is not JSON; Unavailable where too many texts wait for the thread.
    """
    if error.msg not in LENIENT_ERRORS:
        raise error
    try:
        return _read(text) if len(text) <= MAX_LOOP_BYTES else await DOCUMENTS.run(_read, text)
    except (ValueError, RecursionError):  # wrong further on, too
        raise error from None


def _read(text: bytes) -> Any:
    return _DECODER.decode(text.decode())


def _whole(text: str) -> float:
    number = int(text) if len(text) <= _DIGITS else None
    return number if number is not None and -(2**63) <= number < 2**64 else _double(text)


def _double(text: str) -> float:
    number = float(text)
    return number if abs(number) != float("inf") else TooLarge(number)


def _none(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(pairs)  # in Python, so that other threads have their turn in between


_DECODER: Final = json.JSONDecoder(
    parse_int=_whole, parse_float=_double, parse_constant=_none, object_pairs_hook=_object
)
