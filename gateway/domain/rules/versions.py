"""Records: what was sent of one identity to one dataset, and what it says now.

Every sending is kept as a `Version`. Their fold is the record's state; the part of it that lives is the fragment.

    REPLACE   the input is the document            MERGE   RFC 7396: given fields change, null removes
    DELETE    there is no document any more
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import reduce
from typing import Any, NamedTuple
from uuid import UUID

from gateway.domain.rules.merge import Document, canonical


class Mode(StrEnum):
    """What a record's version does with the one before it."""

    REPLACE = "REPLACE"
    MERGE = "MERGE"
    DELETE = "DELETE"


class VersionOrder(NamedTuple):
    """Where a version stands among the others of its record; places compare as versions apply."""

    ingested_at: datetime
    batch_id: UUID
    ordinal: int


@dataclass(frozen=True, slots=True)
class Version:
    """One sending of a record: what was sent, its leaves in their one form."""

    mode: Mode
    input: Document
    place: VersionOrder


@dataclass(frozen=True, slots=True)
class RecordState:
    """What the versions add up to. `document` is None once deleted.

    `decided_at` is the place of the version that last changed the document: to send again what is known changes nothing,
    neither the document nor its time. `is_input`: that version alone tells the document. `head` is the place
    of the newest version, whether it changed anything or not.
    """

    document: Document | None
    decided_at: VersionOrder
    is_input: bool
    head: VersionOrder


def fold(versions: Iterable[Version]) -> RecordState | None:
    """The state that these versions make, whatever order they are given in; None of no versions."""
    return reduce(next_state, sorted(versions, key=lambda version: version.place), None)


def next_state(state: RecordState | None, version: Version) -> RecordState:
    """The state after one version more, which is newer than all before it."""
    document = _applied(state.document if state else None, version)
    if state is not None and same_document(document, state.document):
        return replace(state, head=version.place)
    return RecordState(document, version.place, version.mode is not Mode.MERGE, version.place)


def last_deletion(versions: Iterable[Version]) -> VersionOrder | None:
    """Where the newest version stands that deleted the record: it takes back the ties of all before it."""
    return max((version.place for version in versions if version.mode is Mode.DELETE), default=None)


def same_document(one: Document | None, other: Document | None) -> bool:
    """Equality of canonical JSON: Python's alone takes true for 1."""
    return one is other or (one == other and canonical(one) == canonical(other))


def _applied(document: Document | None, version: Version) -> Document | None:
    match version.mode:
        case Mode.REPLACE:
            return version.input
        case Mode.MERGE:
            return patched(document or {}, version.input)
        case Mode.DELETE:
            return None


def patched(target: Document, patch: Document) -> Document:
    """The target as RFC 7396 patches it; neither is changed."""
    document = dict(target)
    for key, value in patch.items():
        if value is None:
            document.pop(key, None)
        elif isinstance(value, dict):
            below: Any = document.get(key)
            document[key] = patched(below if isinstance(below, dict) else {}, value)
        else:
            document[key] = value
    return document
