"""The driver's UUIDs, which are those of its rows: subclasses of `uuid.UUID` that are made, hashed and compared in C."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from asyncpg.pgproto import pgproto

uuid_of: Final[Callable[[bytes], UUID]] = pgproto.UUID
"""Makes a UUID from 16 bytes."""

NIL: Final = UUID(int=0)
"""In front of every other UUID; no hash is ever this one."""
