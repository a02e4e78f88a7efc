"""The profile: one document merged from the fragments of a person.

    merge     fragments and an attribute merge rule → the profile
    explain   fragments and an attribute merge rule → the candidates of each leaf of the profile, and why one of them won

A *leaf* is decided as a whole: a plain value, an array, a composite (a postal address, an amount of money), one segment.
Objects and maps are decided leaf by leaf; an object without any leaf counts as absent. If one fragment has a plain value
where another has an object, the better fragment's kind holds: an object is filled up from objects only.

No function changes its inputs, and results share structure with them: treat both as immutable.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, reduce
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.rules.selectors import Selector, apply

Document = dict[str, Any]
Path = tuple[str, ...]

Composites = Mapping[str, "Composites | None"]
"""The paths whose values are taken whole (None), as a tree; the key `*` stands for any key of a map."""


class AttributeMergeType(StrEnum):
    """What a policy compares fragments by: their time, or a chosen order of their datasets."""

    TIMESTAMP_ORDERED = "TIMESTAMP_ORDERED"
    DATASET_PRECEDENCE = "DATASET_PRECEDENCE"


class MergeRule(StrEnum):
    """The reason why a candidate gave a leaf its value.

    NEWEST: its `at` is the greatest. DATASET_ORDER: the candidates are of several datasets, and its dataset comes first in
    the policy's order. TIE_BREAK: its `at` equals another's, and it was ingested later, or came later in one call. UNION:
    no value is lost, so that there is no winner; the value of the first candidate is shown. COMPUTED: records decided nothing.
    """

    ONLY_CANDIDATE = "ONLY_CANDIDATE"
    NEWEST = "NEWEST"
    DATASET_ORDER = "DATASET_ORDER"
    TIE_BREAK = "TIE_BREAK"
    UNION = "UNION"
    COMPUTED = "COMPUTED"


class Fragment(NamedTuple):
    """The document of one dataset about one identity.

    `ordinal` grows with arrival. The documents of one call share their `ingested_at`; their ordinals show which came later.
    `size` is the document's length in characters of JSON, 0 if it was not read from JSON.
    """

    xid: UUID
    dataset_id: UUID
    batch_id: UUID
    document: Document
    ingested_at: datetime
    observed_at: datetime | None
    ordinal: int
    size: int = 0

    @property
    def at(self) -> datetime:
        """The effective time: `observed_at`, but not later than `ingested_at`; `ingested_at` if the source gave no time."""
        return min(self.observed_at or self.ingested_at, self.ingested_at)


@dataclass(frozen=True)
class AttributeMerge:
    """The attribute merge rule of a policy; `order` lists datasets, the best first, for DATASET_PRECEDENCE."""

    type: AttributeMergeType
    order: tuple[UUID, ...] = ()

    @cached_property
    def positions(self) -> Mapping[UUID, int]:
        """The position of each dataset in `order`, from 0."""
        return {dataset_id: position for position, dataset_id in enumerate(self.order)}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value that a fragment has for a leaf. Its `at` is compared first; `ingested_at` and then `ordinal` break a tie."""

    value: Any
    xid: UUID
    dataset_id: UUID
    batch_id: UUID
    at: datetime
    ingested_at: datetime
    ordinal: int


class Merged(NamedTuple):
    """A profile as it is stored: JSON text without the identity map, its datasets (best first), and the newest ingestion."""

    document: str
    sources: tuple[UUID, ...]
    modified_at: datetime

    @classmethod
    def of(cls, fragments: Iterable[Fragment], rule: AttributeMerge, composites: Composites) -> "Merged | None":
        """Return the profile merged from the fragments; None if no fragment takes part under the rule."""
        ranked = participants(fragments, rule)
        return cls.of_ranked(ranked, merge_ranked(ranked, composites)) if ranked else None

    @classmethod
    def of_ranked(cls, ranked: Sequence[Fragment], document: Document) -> "Merged":
        """Return the profile that these fragments, best first and one or more, were merged into."""
        return cls(
            document=orjson.dumps(document).decode(),
            sources=tuple(dict.fromkeys(fragment.dataset_id for fragment in ranked)),
            modified_at=max(fragment.ingested_at for fragment in ranked),
        )


@dataclass(frozen=True, slots=True)
class Provenance:
    """Why a leaf has its value. `candidates` are the values that lost, best first; in a union all values, and no `winner`."""

    path: Path
    value: Any
    winner: Candidate | None
    rule: MergeRule
    candidates: tuple[Candidate, ...]


# ------------------------------------------------------------------------------------------------ fragments

_UNIONS: Composites = {"segmentMembership": {"*": {"*": None}}}  # namespace → segment → its status, whole
_NOT_MERGED = frozenset({"identityMap", *_UNIONS})  # the identity map is rendered from the graph
_NONE: Composites = {}
_ABSENT = object()


def participants(fragments: Iterable[Fragment], rule: AttributeMerge) -> list[Fragment]:
    """Return the fragments that take part under the rule, best first. The order in which they are given plays no part.

    The later effective time is better; then the later ingestion; then the greater ordinal; then, if ordinals are equal, the
    smaller dataset id; then the smaller xid. Under DATASET_PRECEDENCE the dataset's position in the order comes before all
    these, and fragments of other datasets are left out.
    """
    ranked = _newest_first(fragments)
    if rule.type is AttributeMergeType.TIMESTAMP_ORDERED:
        return ranked
    positions = rule.positions
    listed = [fragment for fragment in ranked if fragment.dataset_id in positions]
    listed.sort(key=lambda fragment: positions[fragment.dataset_id])
    return listed


def _newest_first(fragments: Iterable[Fragment]) -> list[Fragment]:
    ranked = list(fragments)
    if len(ranked) > 1:
        ranked.sort(key=lambda f: (f.dataset_id.int, f.xid.int))
        ranked.sort(key=lambda f: (f.at, f.ingested_at, f.ordinal), reverse=True)  # sorts are stable
    return ranked


def merge(fragments: Iterable[Fragment], rule: AttributeMerge, composites: Composites) -> Document:
    """Return the profile: each leaf from the best fragment that has it.

    `identityMap` is left out; the caller renders it from the graph. `segmentMembership` holds the segments of all fragments
    that take part, and for each segment the newest status, under every type of policy. No object in the result is empty,
    except within arrays. Keys come in the order of the best fragment, then of the next.
    """
    return merge_ranked(participants(fragments, rule), composites)


def merge_ranked(ranked: Sequence[Fragment], composites: Composites) -> Document:
    """Return the profile, as `merge` does, of fragments that `participants` returned."""
    document = _stacked([_attributes(fragment.document) for fragment in ranked], composites)
    unions = [fragment for fragment in ranked if not _UNIONS.keys().isdisjoint(fragment.document)]
    if unions:
        document = document | _stacked([_in_union(f.document) for f in _newest_first(unions)], _UNIONS)
    return document


def _attributes(document: Document) -> Document:
    if _NOT_MERGED.isdisjoint(document):
        return document
    return {key: value for key, value in document.items() if key not in _NOT_MERGED}


def _in_union(document: Document) -> Document:
    return {key: value for key, value in document.items() if key in _UNIONS}


def _stacked(documents: Sequence[Document], composites: Composites) -> Document:
    """Return the first document, filled up with the leaves of the second, then of the third, and so on."""
    pruned = [_pruned(document) for document in documents]
    return reduce(lambda upper, lower: _filled(upper, lower, composites), pruned) if pruned else {}


def _filled(upper: Document, lower: Document, composites: Composites) -> Document:
    """Return `upper` with the leaves that only `lower` has; `upper` itself if there are none."""
    filled = upper
    for key, value in lower.items():
        held = upper.get(key, _ABSENT)
        if held is not _ABSENT:
            if not (isinstance(held, dict) and isinstance(value, dict)):
                continue
            below = _below(composites, key)
            if below is None or (value := _filled(held, value, below)) is held:
                continue
        if filled is upper:
            filled = dict(upper)
        filled[key] = value
    return filled


def _pruned(document: Document) -> Document:
    """Return the document without objects that have no leaf; the document itself if it has no such object."""
    pruned = document
    for key, value in document.items():
        if not isinstance(value, dict) or ((inner := _pruned(value)) is value and value):
            continue
        if pruned is document:
            pruned = dict(document)
        if inner:
            pruned[key] = inner
        else:
            del pruned[key]
    return pruned


def _below(composites: Composites, key: str) -> Composites | None:
    return composites[key] if key in composites else composites.get("*", _NONE)


# ------------------------------------------------------------------------------------------------ why


def explain(
    fragments: Iterable[Fragment], rule: AttributeMerge, composites: Composites, select: Selector | None = None
) -> list[Provenance]:
    """Return the provenance of each leaf of the merged profile, in its order; with a selector, of the leaves that it selects, in its order.

    The `rule` of a provenance says why its winner came before its candidates. A leaf is explained as a whole even if the
    selector selects a part of it.
    """
    ranked = participants(fragments, rule)
    merged = merge(ranked, rule, composites)
    chosen = merged if select is None else apply(select, merged)
    best_first = [(fragment, _pruned(fragment.document)) for fragment in ranked]
    newest_first = [(fragment, _pruned(fragment.document)) for fragment in _newest_first(ranked)]
    return [
        Provenance(path, (offers := _offers(newest_first, path))[0].value, None, MergeRule.UNION, offers)
        if path[0] in _UNIONS
        else _choice(path, _offers(best_first, path), rule)
        for path in leaves(chosen, composites)
    ]


def _offers(sources: Iterable[tuple[Fragment, Document]], path: Path) -> tuple[Candidate, ...]:
    values = [(fragment, _value(document, path)) for fragment, document in sources]
    return tuple(
        Candidate(value, f.xid, f.dataset_id, f.batch_id, f.at, f.ingested_at, f.ordinal)
        for f, value in values
        if value is not _ABSENT
    )


def _choice(path: Path, offers: tuple[Candidate, ...], rule: AttributeMerge) -> Provenance:
    winner, losers = offers[0], offers[1:]
    return Provenance(path, winner.value, winner, _decided_by(winner, losers, rule), losers)


def _decided_by(winner: Candidate, losers: Sequence[Candidate], rule: AttributeMerge) -> MergeRule:
    if not losers:
        return MergeRule.ONLY_CANDIDATE
    by_dataset = rule.type is AttributeMergeType.DATASET_PRECEDENCE
    if by_dataset and any(loser.dataset_id != winner.dataset_id for loser in losers):
        return MergeRule.DATASET_ORDER
    return MergeRule.NEWEST if winner.at > losers[0].at else MergeRule.TIE_BREAK


def _value(document: Any, path: Path) -> Any:
    for key in path:
        if not isinstance(document, dict) or key not in document:
            return _ABSENT
        document = document[key]
    return document


# ------------------------------------------------------------------------------------------------ leaves


def leaves(document: Document, composites: Composites) -> dict[Path, Any]:
    """Return the leaves of the document by their paths, in its order."""
    found: dict[Path, Any] = {}
    _collect(found, (), document, {**composites, **_UNIONS})
    return found


def _collect(found: dict[Path, Any], above: Path, document: Document, composites: Composites) -> None:
    for key, value in document.items():
        if not isinstance(value, dict):
            found[*above, key] = value
        elif (below := _below(composites, key)) is not None:
            _collect(found, (*above, key), value, below)
        elif _pruned(value):
            found[*above, key] = value


def changed_paths(before: Document | None, after: Document | None, composites: Composites) -> list[Path]:
    """Return the sorted paths of the leaves that were added, removed or changed. None stands for a missing document."""
    found = set[Path]()
    _compare(found, (), before or {}, after or {}, {**composites, **_UNIONS})
    return sorted(found)


def _compare(found: set[Path], above: Path, before: Document, after: Document, composites: Composites) -> None:
    """Add the paths of the leaves that differ. Most values are equal, many even the same, so no path is made before one differs."""
    for key, old in before.items():
        new = after.get(key, _ABSENT)
        if old is new or (old == new and (type(old) is str or _same(old, new))):
            continue
        if not (isinstance(old, dict) or isinstance(new, dict)):
            found.add((*above, key))
        elif isinstance(old, dict) and isinstance(new, dict) and (below := _below(composites, key)) is not None:
            _compare(found, (*above, key), old, new, below)
        else:
            found |= _leaf_paths(above, key, old, composites) | _leaf_paths(above, key, new, composites)
    for key, new in after.items():
        if key not in before:
            found |= _leaf_paths(above, key, new, composites)


def _leaf_paths(above: Path, key: str, value: Any, composites: Composites) -> set[Path]:
    if value is _ABSENT:
        return set()
    collected: dict[Path, Any] = {}
    _collect(collected, above, {key: value}, composites)
    return set(collected)


def _same(a: Any, b: Any) -> bool:
    """Return whether two values that are equal for Python are canonically equal: for Python true equals 1, too."""
    return orjson.dumps(a) == orjson.dumps(b) or canonical(a) == canonical(b)


_FLOAT_TO_MEND = re.compile(rb"\d\.0(?!\d)|\de[+-]?\d")


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of a value: equal documents have equal canonical JSON.

    Keys are sorted. Whole numbers have one form, as a database may return any: 1.0 and 1e0 are written 1, and -0.0 is 0.
    """
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if _FLOAT_TO_MEND.search(text):  # rare, and maybe only inside a string: then mending changes nothing
        text = orjson.dumps(_mended(value), option=orjson.OPT_SORT_KEYS)
    return text


def _mended(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mended(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mended(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        whole = int(Decimal(repr(value)))  # the digits that it is written with: a database keeps those
        return whole if -(2**63) <= whole < 2**64 else value
    return value
