"""`Node`: any object with a global id, and reading objects by their ids.

Each noun has a reader for its type; `api/schema.py` lists them. A reader takes all keys of one request and returns the objects in their
order, None for those that the caller's sandbox lacks.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar, Final, TypeAlias, TypeVar
from uuid import UUID

import strawberry

from gateway.api.context import Context, plain, resolved_by
from gateway.api.ids import KINDS, Part, global_id, key_of, prefix, read_id
from gateway.errors import LimitExceeded
from gateway.projection.tree import Format, Packed, Packing
from gateway.xdm.classes import XdmClass

Reader: TypeAlias = Callable[[Context, Sequence[Any]], Awaitable[Sequence[Any]]]
"""Reads objects of one type by their keys, which are as `parse_id` returns them."""

T = TypeVar("T")

_PACKINGS: Final[Mapping[Part, Packing]] = {UUID: Packing.UUID, int: Packing.LONG, str: Packing.TEXT}

MAX_NODES = 1_000


@strawberry.interface(description="Anything with a global id, by which it can be read again.")
class Node:
    domain: ClassVar[type]  # what the domain calls this type's objects
    present: ClassVar[str | None] = None  # the column of a record that is true where it has such an object
    documents: ClassVar[XdmClass | None] = None  # the class of its documents, which selectors are held against
    is_loaded: ClassVar[bool] = True  # whether an object costs one that is loaded (`weights.py`)

    id: strawberry.ID = plain("Opaque, the same for ever, unique over all types; safe in an address.")

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Return whether a domain object is of this GraphQL type; graphql-core asks."""
        return isinstance(obj, cls.domain)


@strawberry.type(description="Anything that people make and change.")
class Edited:
    version: int = plain(
        "1 when it was made, one more with each change. Sent as `currentVersion`, it keeps a caller from overwriting what others changed meanwhile.",
        Format.NUMBER,
    )
    created_at: datetime = plain("When it was made.", Format.TIME)
    updated_at: datetime = plain("When it was last changed; when it was made, where it never was.", Format.TIME)
    created_by: str | None = plain(
        "Who made it: the subject of the token, or the user who ran the command. Null where it came with the sandbox, or is older than this note.",
        Format.TEXT,
    )


def id_field(description: str, type_name: str, *key: str) -> Any:
    """Return the field `id` of a type; `key` names the attributes of the domain object that the id is made of."""
    reads = [attrgetter(path) for path in key]

    def resolve(parent: strawberry.Parent[Any]) -> str:
        return global_id(type_name, *(read(parent) for read in reads))

    return resolved_by(resolve, description, reads=packed_id(type_name, *(path.rpartition(".")[2] for path in key)))


def packed_id(type_name: str, *columns: str) -> Packed:
    """Return the id as a projection: of the object whose key is in these columns."""
    pieces = tuple((name, _PACKINGS[kind]) for name, kind in zip(columns, KINDS[type_name][1], strict=True))
    return Packed(prefix(type_name), pieces)


async def look_up(
    context: Context, reader: Callable[[Context, Sequence[Any]], Awaitable[Sequence[T]]], text: str, expected: str
) -> T | None:
    """Read the object of the expected type with this id; None for an unknown id and for any other text."""
    key = key_of(text, expected)
    found = await reader(context, [] if key is None else [key])  # without a key, too: the reader knows who may ask
    return found[0] if found else None


async def read_nodes(context: Context, readers: Mapping[str, Reader], ids: Sequence[str]) -> list[Any]:
    """Read the objects with these ids, in their order, by one call for each type; None for each that is unknown. Raises LimitExceeded."""
    if len(ids) > MAX_NODES:
        raise LimitExceeded(f"At most {MAX_NODES:,} ids at once; {len(ids):,} were given.")
    parsed = [read_id(text) for text in ids]
    keys: dict[str, dict[tuple[Any, ...], None]] = {}
    for type_name, key in filter(None, parsed):
        keys.setdefault(type_name, {})[key] = None
    found: dict[tuple[str, tuple[Any, ...]], Any] = {}
    for type_name, wanted in keys.items():
        values = await readers[type_name](context, [key[0] if len(key) == 1 else key for key in wanted])
        found |= {(type_name, key): value for key, value in zip(wanted, values, strict=True)}
    return [found.get(node) if node else None for node in parsed]
