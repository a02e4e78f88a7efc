"""The driver's UUIDs, which are those of its rows: subclasses of `uuid.UUID` that are made, hashed and compared in C."""

from uuid import UUID

from asyncpg.pgproto import pgproto


def uuid_of(digest: bytes) -> UUID:
    """The UUID of 16 bytes."""
    made: UUID = pgproto.UUID(digest)
    return made
