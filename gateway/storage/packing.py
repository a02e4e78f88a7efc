"""Rows for COPY in Postgres' binary format, packed here where the driver takes several times as long: it looks at each element of an array.

A row is a count of its columns and its values, and each value is its length and its bytes. So what many rows have in common is packed once.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from struct import Struct
from typing import Final
from uuid import UUID

BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""In front of all rows."""

END: Final = b"\xff\xff"
"""Behind all rows."""

UUID_SIZE: Final = 16
EIGHT: Final = 8
"""Bytes of a bigint, and of a timestamptz."""

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_ARRAY: Final = Struct("!iiiiii")
_UUID_OID: Final = 2950
_ELEMENT: Final = Struct("!i").pack(UUID_SIZE)


def instant(at: datetime) -> int:
    """A timestamptz as a bigint."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def uuids(values: Sequence[UUID]) -> bytes:
    """A uuid[] of at least one element, with its length in front."""
    size = 20 + 20 * len(values)
    head = _ARRAY.pack(size, 1, 0, _UUID_OID, len(values), 1)
    return head + _ELEMENT + _ELEMENT.join([value.bytes for value in values])
