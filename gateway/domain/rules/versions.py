"""Records: the documents that were sent about one identity to one dataset, and the state that they add up to.

Every document is kept as a `Version`. The fold of the versions is the record's state; its document, unless deleted, is the fragment.

    REPLACE   the input becomes the document
    MERGE     the input patches the document (RFC 7396): its fields change, null removes a field
    DELETE    the record has no document
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import dropwhile, takewhile
from typing import Any, NamedTuple
from uuid import UUID

from gateway.domain.rules.merge import Document, canonical


class Mode(StrEnum):
    """What a version does with the document that the earlier versions made."""

    REPLACE = "REPLACE"
    MERGE = "MERGE"
    DELETE = "DELETE"


RecordKey = tuple[UUID, UUID]
"""The xid and the dataset id of a record."""


class VersionOrder(NamedTuple):
    """The position of a version among those of its record: the versions apply in ascending order."""

    ingested_at: datetime
    batch_id: UUID
    ordinal: int


class Version(NamedTuple):
    """One document that was sent for a record, with normalized leaf values (`xdm.leaves`)."""

    mode: Mode
    input: Document
    place: VersionOrder


class UnreadVersion(NamedTuple):
    """A version without its input. `size`: how many bytes the input takes where it is stored."""

    mode: Mode
    place: VersionOrder
    size: int


class RecordState(NamedTuple):
    """The state of a record after its versions. `document` is None once it is deleted.

    `decided_at` is the position of the version that last changed the document: to send equal content again changes neither
    the document nor its time. `is_input`: the document equals that version's input. `head` is the position of the newest
    version, whether it changed anything or not.
    """

    document: Document | None
    decided_at: VersionOrder
    is_input: bool
    head: VersionOrder


RecordStates = dict[RecordKey, RecordState]


def next_state(state: RecordState | None, version: Version) -> RecordState:
    """Return the record's state after one more version, which must be newer than those in `state`."""
    document = _applied(state.document if state else None, version)
    if state is not None and same_document(document, state.document):
        return state._replace(head=version.place)
    return RecordState(document, version.place, version.mode is not Mode.MERGE, version.place)


def since_deletion(versions: Iterable[UnreadVersion]) -> tuple[RecordState | None, Sequence[UnreadVersion]]:
    """Return the state of a record after its newest deletion, and its later versions, in order; what earlier ones said matters no more.

    The versions may come in any order. Without a deletion the state is None, and all versions are later ones.
    """
    ordered = sorted(versions, key=lambda version: version.place)
    until_last = list(dropwhile(lambda version: version.mode is not Mode.DELETE, reversed(ordered)))
    deletions = list(takewhile(lambda version: version.mode is Mode.DELETE, until_last))
    if not deletions:
        return None, ordered
    last, first = deletions[0].place, deletions[-1].place
    return RecordState(None, first, True, last), ordered[len(until_last) :]


def last_deletion(versions: Iterable[Version | UnreadVersion]) -> VersionOrder | None:
    """Return the position of the newest DELETE, which retracts the ties of all earlier versions; None if there is none."""
    return max((version.place for version in versions if version.mode is Mode.DELETE), default=None)


def superseded(
    settled: Sequence[UnreadVersion], decided: Mapping[VersionOrder, VersionOrder], *, has_stand_in: bool = False
) -> dict[VersionOrder, VersionOrder]:
    """Return the positions of versions on which nothing depends any more, each with that of a version that stays and can stand for its time.

    `settled`: the first versions of a record, in order, all of settled batches. `decided`: from the newest deletion on, the position of the version
    that had decided the document after each. `has_stand_in`: one of the deletions stands for versions which went before.

    Whatever else goes or comes later, the rest folds to the same state without these, and its deletions retract the same ties. Versions before the
    newest one that replaced or deleted the document go, but for the newest deletion; so do later ones that changed nothing, unless they may be the head.
    A deletion stays that only deletions came before: an identity that it stood for would seem to be named.
    """
    if not settled:
        return {}
    resets = [each.place for each in settled if each.mode is not Mode.MERGE and decided.get(each.place) == each.place]
    last = max((each.place for each in settled if each.mode is Mode.DELETE), default=None)
    base = resets[-1] if resets else decided[last] if last is not None else settled[0].place
    is_known = has_stand_in or any(v.mode is not Mode.DELETE for v in takewhile(lambda v: v.place != last, settled))

    def stand_in(version: UnreadVersion) -> VersionOrder | None:
        place = version.place
        if place in (base, last):
            return None
        if last is not None and place < last:
            return last if is_known else None
        if place < base:
            return base
        return decided[place] if decided[place] != place and place != settled[-1].place else None

    return {each.place: heir for each in settled if (heir := stand_in(each)) is not None}


def says_other(before: RecordState | None, after: RecordState | None) -> bool:
    """Return whether the fragment of a record differs: its document, or the place of the version that decided it. None: no record."""
    if before is None or before.document is None:
        return after is not None and after.document is not None
    if after is None or after.document is None or before.decided_at != after.decided_at:
        return True
    return not same_document(before.document, after.document)


def same_document(one: Document | None, other: Document | None) -> bool:
    """Return whether two documents are equal as canonical JSON; for Python alone true equals 1."""
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
    """Return the target as the patch changes it (RFC 7396). Neither argument is changed."""
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
