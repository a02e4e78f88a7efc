"""Rows for COPY in Postgres' binary format. The driver takes several times as long, as it looks at each element of an array.

A row is the count of its columns and their values, each value its length and its bytes. What many rows share is packed once.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct
from typing import Final
from uuid import UUID

BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""What precedes all rows."""

END: Final = b"\xff\xff"
"""What follows all rows."""

UUID_SIZE: Final = 16
EIGHT: Final = 8
"""Bytes of a bigint, and of a timestamptz."""

NULL: Final = b"\xff\xff\xff\xff"
"""A null of any type, in place of a value and its length."""

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_ARRAY: Final = Struct("!iiiiii")
_UUID_OID: Final = 2950
_LENGTH: Final = Struct("!i")
_NO_UUIDS: Final = Struct("!iiii").pack(12, 0, 0, _UUID_OID)
_ELEMENT: Final = Struct("!i").pack(UUID_SIZE)


@lru_cache(maxsize=16)  # rows of a call have one time
def instant(at: datetime) -> int:
    """Return a time as the integer of a timestamptz: microseconds since 2000."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def text(value: bytes) -> bytes:
    """Return a text, or a document of JSON, after its length in bytes."""
    return _LENGTH.pack(len(value)) + value


def uuids(values: Sequence[UUID]) -> bytes:
    """Return a uuid[] after its length in bytes."""
    if not values:
        return _NO_UUIDS
    size = 20 + 20 * len(values)
    head = _ARRAY.pack(size, 1, 0, _UUID_OID, len(values), 1)
    return head + _ELEMENT + _ELEMENT.join([value.bytes for value in values])
