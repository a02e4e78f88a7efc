"""Bodies that are JSON, but hold what nothing can store: half of a surrogate pair, or a number beyond all doubles.

The parser of all other bodies refuses one whole. It is slower to read it so that a single document of many can be told to be at fault.
"""

import json
from typing import Any, Final

import orjson

from gateway.runtime.threads import DOCUMENTS
from gateway.xdm.violations import TooLarge

FEW_BYTES: Final = 16_000
"""Of a body that is read on the event loop: a millisecond's work."""

HELD_BACK: Final = {
    "number is infinity when parsed as double",
    *("no low surrogate in string", "invalid low surrogate in string", "invalid high surrogate in string"),
}
"""What the strict parser says of JSON that it does not take."""

_DIGITS: Final = 20  # of the largest whole number that is taken as one


async def read_leniently(text: bytes, error: orjson.JSONDecodeError) -> Any:
    """The value of a text that the strict parser refused, with numbers beyond all doubles as `TooLarge`; a long one is read beside the event
    loop. Raises the error where the text is not JSON, Unavailable."""
    if error.msg not in HELD_BACK:
        raise error
    try:
        return _read(text) if len(text) <= FEW_BYTES else await DOCUMENTS.run(_read, text)
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
