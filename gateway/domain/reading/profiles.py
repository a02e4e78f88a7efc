"""Profiles: people as a merge policy sees them.

What the policy keeps merged is read; of a policy that keeps nothing, or whose profiles are still being built, the same document is merged
from the fragments by the same function.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import IdentityGraphType, MergePolicy, PolicyStatus
from gateway.domain.reading import people, timelines
from gateway.domain.reading.identities import Identity
from gateway.domain.reading.people import NOBODY, Keeper, Person
from gateway.domain.reading.shapes import Shape
from gateway.domain.reading.timelines import FinishedPage, Timeline
from gateway.domain.rules.graphs import MAX_GRAPH_SIZE
from gateway.domain.rules.keyset import Page, Window
from gateway.domain.rules.merge import (
    AttributeMerge,
    AttributeMergeType,
    Document,
    Fragment,
    Merged,
    Provenance,
    explain,
    participants,
)
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.rules.selectors import Selector
from gateway.errors import Unavailable
from gateway.runtime.slices import in_time_slices
from gateway.storage.database import Database, Reader
from gateway.storage.queries import query

READ_FRAGMENTS = query("profiles.read_fragments")
READ_FRAGMENT_TIMES = query("profiles.read_fragment_times")
READ_EVENT_ORIGINS = query("profiles.read_event_origins")

EVENTS = 5_000
DOCUMENT_SIZE = 50_000_000  # bytes

GAP = "\x01"  # where a text goes that is not there yet; no JSON text has it

NEWEST_FIRST = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)


class ProfileStatus(StrEnum):
    """What became of a person that was asked for."""

    FOUND = "FOUND"
    NOT_FOUND = "NOT_FOUND"
    INVALID = "INVALID"
    ERASED = "ERASED"


class ProfileLimit(StrEnum):
    """A guardrail of the model that a profile has passed."""

    IDENTITIES = "IDENTITIES"
    EVENTS = "EVENTS"
    DOCUMENT_SIZE = "DOCUMENT_SIZE"


@dataclass(frozen=True)
class Profile:
    """A person under a policy. The document is kept as JSON text and parsed when it is first looked into.

    Where only a part of it was wanted, `entity` is that, as finished JSON, and the document and its size are not known. `timeline` is the
    page of events that was wanted with it.
    """

    policy: MergePolicy
    person: Person
    entity: str | None = None
    timeline: FinishedPage | None = None

    @property
    def profile_id(self) -> UUID:
        return self.person.profile_id

    @cached_property
    def document(self) -> Document:
        """The merged document, with the identity map rendered from the graph."""
        return self.person.document

    @property
    def size(self) -> int:
        """The document's length in bytes of JSON text, without the identity map."""
        return len(self.person.merged.document.encode()) if self.person.merged else 0


class ProfileResult(NamedTuple):
    """What an xid leads to under a policy. The identity is None if it is unknown or erased."""

    xid: UUID
    identity: Identity | None
    status: ProfileStatus
    profile: Profile | None


class Glimpse(NamedTuple):
    """A profile of which nothing was wanted but a part of the document, `entity`, and maybe a page of events: both as finished JSON.

    It is the `ProfileResult` of the identity that led to it as well.
    """

    policy: MergePolicy
    identity: Identity
    entity: str
    timeline: FinishedPage | None = None

    @property
    def xid(self) -> UUID:
        return self.identity.xid

    @property
    def status(self) -> ProfileStatus:
        return ProfileStatus.FOUND

    @property
    def profile(self) -> "Glimpse":
        return self

    @property
    def profile_id(self) -> UUID:
        return self.identity.profile_id or self.identity.xid


class InvalidKey(NamedTuple):
    """The result for an identity that cannot exist, and why it cannot."""

    message: str

    @property
    def status(self) -> ProfileStatus:
        return ProfileStatus.INVALID

    @property
    def identity(self) -> None:
        return None

    @property
    def profile(self) -> None:
        return None


AnyProfile: TypeAlias = Profile | Glimpse
AnyResult: TypeAlias = ProfileResult | Glimpse


class ResultText(NamedTuple):
    """How a result is written as JSON: what is wanted of a document that is found, and then maybe a page of events, between the texts of
    `found`; and where none is, by the status."""

    wanted: Shape
    found: Sequence[str]
    without: Mapping[ProfileStatus, str]

    def of(self, result: ProfileResult) -> str:
        """Of one whose profile has all of it finished."""
        if result.profile is None:
            return self.without[result.status]
        page = result.profile.timeline
        values = [result.profile.entity or "", *([page.nodes] if page else ()), ""]
        return "".join(chain.from_iterable(zip(self.found, values, strict=True)))


@dataclass(frozen=True, slots=True)
class ProfileLimits:
    """How large a profile is, and what that exceeds. Identities beyond the cap count, too."""

    identity_count: int
    event_count: int
    exceeded: tuple[ProfileLimit, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a person's data is from: the datasets, and when the newest of it came in."""

    sources: tuple[UUID, ...]
    modified_at: datetime


async def read_profiles(
    db: Reader,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    xids: Sequence[UUID],
    *,
    wanted: Shape | None = None,
) -> list[ProfileResult]:
    """The profile that each xid leads to, or as much of it as is wanted; xids of one person lead to equal ones. Needs `profile:read`.

    Raises Forbidden, and Unavailable when writers regroup the people of a cluster faster than they can be read.
    """
    found = await people.read_people(
        db, scope, config, xids, graph=policy.settings.identity_graph, merged_by=_keeper(policy), wanted=wanted
    )
    known = {each.person.profile_id: each.person for each in found if each.person}
    profiles = {p.profile_id: p for p in await _profiles(db, scope, config, policy, known.values(), wanted=wanted)}
    return [
        _result(xid, each.identity, profiles[each.person.profile_id] if each.person else None)
        for xid, each in zip(xids, found, strict=True)
    ]


async def glimpse_profiles(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    xids: Sequence[UUID],
    *,
    wanted: Shape,
    timeline: Timeline | None = None,
) -> Sequence[AnyResult]:
    """The same, with as little as can be of each profile: mostly a `Glimpse`, a `Profile` where that is not at hand.

    `wanted` must not have the identity map. Needs `profile:read`. Raises Forbidden, Unavailable; BadInput and BadCursor for a timeline.
    """
    if not _is_at_hand(db, policy):
        return await _looked_at(db, scope, config, policy, xids, wanted=wanted, timeline=timeline)
    results: dict[UUID, AnyResult] = {}
    bare: dict[UUID, FinishedPage | None] = {}
    for identity, entity, page in await _glimpsed(db, scope, xids, _keeper(policy), wanted=wanted, timeline=timeline):
        if entity is not None:
            results[identity.xid] = Glimpse(policy, identity, entity, page)
        elif identity.profile_id is None:
            results[identity.xid] = _result(identity.xid, identity, None)
        else:
            bare[identity.xid] = page  # of this person nothing is kept merged
    if bare:
        read = await read_profiles(db, scope, config, policy, list(bare), wanted=wanted)
        results |= {result.xid: _with_timeline(result, bare[result.xid]) for result in read}
    return [results.get(xid) or ProfileResult(xid, None, ProfileStatus.NOT_FOUND, None) for xid in xids]


async def write_results(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    xids: Sequence[UUID],
    *,
    text: ResultText,
    timeline: Timeline | None = None,
) -> str:
    """The same as the text of a JSON array, where all that is told of a result beside the entity and the events is its status."""

    async def read(those: Sequence[UUID]) -> list[str]:
        results = await _looked_at(db, scope, config, policy, those, wanted=text.wanted, timeline=timeline)
        return list(map(text.of, results))

    if not _is_at_hand(db, policy):
        return f"[{','.join(await read(xids))}]"
    texts = people.Texts(text.found, text.without[ProfileStatus.NOT_FOUND], text.without[ProfileStatus.ERASED], GAP)
    found, bare = await people.write_people(
        db, scope, xids, _keeper(policy), wanted=text.wanted, texts=texts, timeline=timeline
    )
    if bare:
        parts = zip(found.split(GAP), [*await read(bare), ""], strict=True)
        found = "".join(chain.from_iterable(parts))
    return f"[{found}]"


async def search_profiles(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    asked: Window,
    *,
    wanted: Shape | None = None,
) -> Page[Profile]:
    """A page of all profiles by the ids of people, which are the keys. Needs `profile:read`. Raises Forbidden, BadCursor."""
    page = await people.list_people(
        db, scope, config, asked, graph=policy.settings.identity_graph, merged_by=_keeper(policy), wanted=wanted
    )
    profiles = await _profiles(db, scope, config, policy, page.items, wanted=wanted)
    return Page(profiles, page.has_next, page.has_previous)


async def count_profiles(db: Database, scope: Scope, policy: MergePolicy) -> int:
    """How many profiles there are under the policy. Needs `profile:read`."""
    return await people.count_people(db, scope, policy.settings.identity_graph)


def limits_of(profile: Profile, event_count: int) -> ProfileLimits:
    """The profile's measures against the guardrails; nothing is dropped because of them."""
    passed = {
        ProfileLimit.IDENTITIES: profile.person.size > MAX_GRAPH_SIZE,
        ProfileLimit.EVENTS: event_count > EVENTS,
        ProfileLimit.DOCUMENT_SIZE: profile.size > DOCUMENT_SIZE,
    }
    return ProfileLimits(
        profile.person.size, event_count, tuple(limit for limit, is_passed in passed.items() if is_passed)
    )


async def read_fragments(db: Reader, scope: Scope, members: Sequence[tuple[UUID, ...]]) -> list[list[Fragment]]:
    """What the records of each person's members say, the newest first. Needs `profile:read`."""
    scope.require(Permission.PROFILE_READ)
    rows = await db.rows(READ_FRAGMENTS, scope.sandbox_id, _all(members))
    by_xid: dict[UUID, list[Fragment]] = {}
    for fragment in await in_time_slices(_fragment, rows):
        by_xid.setdefault(fragment.xid, []).append(fragment)
    return [participants((f for xid in xids for f in by_xid.get(xid, ())), NEWEST_FIRST) for xids in members]


def explain_profile(
    config: Configuration, profile: Profile, fragments: Iterable[Fragment], select: Selector | None = None
) -> list[Provenance]:
    """Why each leaf of the document, or of what is selected, has its value; the identity map is no matter of merging.

    `fragments` are those that `read_fragments` gives for the person's members.
    """
    return explain(fragments, profile.policy.settings.attribute_merge, config.composites, select)


async def read_origins(db: Database, scope: Scope, profiles: Sequence[Profile]) -> list[Origin]:
    """Of each profile: the origin of the fragments in it; if it has none, of its events; else of fragments that take no part.

    Needs `profile:read`.
    """
    scope.require(Permission.PROFILE_READ)
    bare = _all([profile.person.xids for profile in profiles if not profile.person.merged])
    events = {row["xid"]: row for row in await db.rows(READ_EVENT_ORIGINS, scope.sandbox_id, bare)} if bare else {}
    times = {row["xid"]: row for row in await db.rows(READ_FRAGMENT_TIMES, scope.sandbox_id, bare)} if bare else {}
    return [_origin(profile, events, times) for profile in profiles]


# ------------------------------------------------------------------------------------------------


def _keeper(policy: MergePolicy) -> Keeper:
    """The policy, if the store has its profiles ready."""
    is_ready = policy.is_materialized and policy.status is PolicyStatus.ACTIVE
    return (policy.policy_id, policy.version) if is_ready else NOBODY


def _is_at_hand(db: Reader, policy: MergePolicy) -> bool:
    """Whether an identity, its person and what is kept of that lie beside each other."""
    is_graph = policy.settings.identity_graph is IdentityGraphType.PDG
    return is_graph and _keeper(policy) != NOBODY and not db.is_distributed


async def _profiles(
    db: Reader,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    persons: Collection[Person],
    *,
    wanted: Shape | None,
) -> list[Profile]:
    """Whose profile is not kept merged is merged now: by another policy than the kept ones, or because the policy has just changed.
    People without records are among them, and cost no more than a look."""
    bare = [person for person in persons if person.merged is None]
    merged_now: dict[UUID, Profile] = {}
    if bare:
        fragments = await read_fragments(db, scope, [person.xids for person in bare])
        rule = policy.settings.attribute_merge

        def merge(bare: tuple[Person, Sequence[Fragment]]) -> Profile:
            person = bare[0]._replace(merged=Merged.of(bare[1], rule, config.composites))
            return Profile(policy, person, None if wanted is None else person.finished(wanted))

        found = await in_time_slices(merge, zip(bare, fragments, strict=True))
        merged_now = {profile.profile_id: profile for profile in found}
    return [merged_now.get(person.profile_id) or _kept(policy, person, wanted) for person in persons]


async def _glimpsed(
    db: Database, scope: Scope, xids: Sequence[UUID], keeper: Keeper, *, wanted: Shape, timeline: Timeline | None
) -> Sequence[tuple[Identity, str | None, FinishedPage | None]]:
    if timeline is not None:
        return await people.glimpse_timelines(db, scope, xids, keeper, wanted=wanted, timeline=timeline)
    return [(*each, None) for each in await people.glimpse_people(db, scope, xids, keeper, wanted)]


async def _looked_at(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    xids: Sequence[UUID],
    *,
    wanted: Shape,
    timeline: Timeline | None,
) -> list[ProfileResult]:
    """The results with whole people, whose events are read when those are known."""
    results = await read_profiles(db, scope, config, policy, xids, wanted=wanted)
    if timeline is None:
        return results
    persons = list({each.profile.person.xids for each in results if each.profile})
    pages = dict(zip(persons, await timelines.list_timelines(db, scope, persons, timeline), strict=True))
    return [_with_timeline(each, pages[each.profile.person.xids]) if each.profile else each for each in results]


def _with_timeline(result: ProfileResult, page: FinishedPage | None) -> ProfileResult:
    return result._replace(profile=replace(result.profile, timeline=page)) if result.profile else result


def _kept(policy: MergePolicy, person: Person, wanted: Shape | None) -> Profile:
    return Profile(policy, person, None if wanted is None or person.merged is None else person.merged.document)


def _result(xid: UUID, identity: Identity | None, profile: Profile | None) -> ProfileResult:
    if identity is not None and identity.is_erased:
        return ProfileResult(xid, None, ProfileStatus.ERASED, None)
    return ProfileResult(xid, identity, ProfileStatus.FOUND if profile else ProfileStatus.NOT_FOUND, profile)


def _origin(profile: Profile, events: dict[UUID, Any], times: dict[UUID, Any]) -> Origin:
    if profile.person.merged:
        return Origin(profile.person.merged.sources, profile.person.merged.modified_at)
    rows = [events[xid] for xid in profile.person.xids if xid in events]
    sources = tuple({dataset_id for row in rows for dataset_id in row["sources"]})
    rows = rows or [times[xid] for xid in profile.person.xids if xid in times]
    if not rows:
        raise Unavailable("The person's data was removed while it was being read; try again.")
    return Origin(sources, max(row["modified_at"] for row in rows))


def _fragment(row: Any) -> Fragment:
    text = row["document"]
    return Fragment(**{**row, "document": orjson.loads(text)}, size=len(text))


def _all(members: Sequence[tuple[UUID, ...]]) -> list[UUID]:
    return list({xid for xids in members for xid in xids})
