"""Global ids: opaque to clients, one for each object for ever, safe in an address.

    dataset_AAECAwQFBgcICQoLDA0ODw
    ^kind   ^the key's parts as bytes, base64url without padding

The kind is readable, which helps people who read a log or paste an id into the wrong argument. An id has exactly one spelling.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from gateway.errors import BadInput, Conflict, JobOpen, NotFound
from gateway.runtime.uuids import uuid_of

Part = type[UUID] | type[int] | type[str]

KINDS: Final[Mapping[str, tuple[str, tuple[Part, ...]]]] = {
    "ApiKey": ("key", (UUID,)),
    "AuditEntry": ("audit", (int,)),
    "Batch": ("batch", (UUID,)),
    "ComputedAttribute": ("attribute", (UUID,)),
    "Dataset": ("dataset", (UUID,)),
    "ExperienceEvent": ("event", (UUID, UUID, str)),  # xid, dataset, the sender's _id
    "ExportJob": ("export", (UUID,)),
    "Identity": ("identity", (UUID,)),
    "IdentityNamespace": ("namespace", (int, int)),  # sandbox, number
    "IngestionWarning": ("warning", (UUID,)),
    "MergePolicy": ("policy", (UUID,)),
    "Profile": ("profile", (UUID, UUID)),  # policy, person
    "ProjectionConfiguration": ("projection", (UUID,)),
    "ProjectionDestination": ("destination", (UUID,)),
    "Sandbox": ("sandbox", (int,)),
    "SearchIndex": ("index", (UUID,)),
    "SystemJob": ("job", (UUID,)),
    "XdmSchema": ("schema", (UUID,)),
}
"""By Node type: the word in front of its ids, and the types of its key's parts; a text can only be the last part."""

_TYPES = {word: name for name, (word, _) in KINDS.items()}
_SIZES: Final[Mapping[Part, int]] = {UUID: 16, int: 8}
MAX_ID_CHARACTERS: Final = 4_000


def global_id(type_name: str, *key: UUID | int | str) -> str:
    """Return the id of the object of this type with this key."""
    payload = b"".join(_packed(part) for part in key)
    return f"{prefix(type_name)}{urlsafe_b64encode(payload).rstrip(b'=').decode()}"


def prefix(type_name: str) -> str:
    """Return the readable beginning of the ids of a type, as in `dataset_`."""
    return f"{KINDS[type_name][0]}_"


def parse_id(text: str, expected: str, argument: str = "id") -> Any:
    """Return the key that an id of the expected type holds: one value, or a tuple of several. Raises BadInput, which names the argument."""
    found = read_id(text)
    if found is None:
        raise BadInput(f"`{argument}` is not an id that this server gave out.")
    type_name, key = found
    if type_name != expected:
        raise BadInput(f"`{argument}` is an id of type {type_name}; here goes one of type {expected}.")
    return key[0] if len(key) == 1 else key


def key_of(text: str, expected: str) -> Any:
    """Return the key that an id of the expected type holds, as `parse_id` does; None for any other text, which is the id of nothing."""
    found = read_id(text)
    if found is None or found[0] != expected:
        return None
    key = found[1]
    return key[0] if len(key) == 1 else key


def input_id(text: str, expected: str, *path: str) -> Any:
    """Return the key that an id in a mutation's input holds, as `parse_id` does. Raises NotFound with the path for any other text."""
    try:
        return parse_id(text, expected, path[-1])
    except BadInput as error:
        raise NotFound(error.message, path=path) from error


@contextmanager
def naming_jobs() -> Iterator[None]:
    """Raise Conflict in place of a JobOpen in the block: it names the job by its global id."""
    try:
        yield
    except JobOpen as fault:
        job = global_id("SystemJob", fault.job_id)
        raise Conflict(f"The job {job} {fault.does}; wait for its end.", path=fault.path) from fault


def read_id(text: str) -> tuple[str, tuple[Any, ...]] | None:
    """Return the type and the parts of the key that an id holds; None for a text that is no id."""
    word, _, body = text.partition("_")
    if word not in _TYPES or len(text) > MAX_ID_CHARACTERS:
        return None
    try:
        key = _unpacked(urlsafe_b64decode(body + "=" * (-len(body) % 4)), KINDS[_TYPES[word]][1])
    except ValueError:
        return None
    return (_TYPES[word], key) if global_id(_TYPES[word], *key) == text else None


def _packed(part: UUID | int | str) -> bytes:
    match part:
        case UUID():
            return part.bytes
        case int():
            return part.to_bytes(_SIZES[int], signed=True)
    return part.encode()


def _unpacked(payload: bytes, parts: tuple[Part, ...]) -> tuple[UUID | int | str, ...]:
    """Read the parts of a key from bytes, one after the other. Raises ValueError for other bytes."""
    key: list[UUID | int | str] = []
    for part in parts:
        size = _SIZES.get(part, len(payload))
        piece, payload = payload[:size], payload[size:]
        key.append(_part(part, piece))
    return tuple(key)


def _part(part: Part, piece: bytes) -> UUID | int | str:
    if part is UUID:
        return uuid_of(piece)
    if part is int:
        return int.from_bytes(piece, signed=True)
    if b"\0" in piece:
        raise ValueError("no text that is stored holds a NUL")
    return piece.decode()
