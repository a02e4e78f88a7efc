"""Profiles: people as a merge policy sees them.

What the policy keeps merged is read; of a policy that keeps nothing, or whose profiles are still being built, the same document is merged
from the fragments by the same function.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import IdentityGraphType, MergePolicy, PolicyStatus
from gateway.domain.reading import people
from gateway.domain.reading.events import read_lists
from gateway.domain.reading.identities import Identity
from gateway.domain.reading.people import NOT_COMPUTED, Person
from gateway.domain.reading.people_statements import NO_POLICY, WHOLE, PolicyVersion, Way
from gateway.domain.reading.person_values import computable
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
from gateway.errors import Unavailable, Vanished
from gateway.projection.evaluate import Lists, evaluate
from gateway.projection.tree import Count, Object, Projection
from gateway.projection.tree import Page as PageNode
from gateway.runtime.slices import in_time_slices
from gateway.storage.database import Database, Reader
from gateway.storage.queries import query

READ_FRAGMENTS = query("profiles.read_fragments")
READ_FRAGMENTS_OF_CLUSTER = query("profiles.read_fragments_of_cluster")
READ_FRAGMENT_TIMES = query("profiles.read_fragment_times")
READ_EVENT_ORIGINS = query("profiles.read_event_origins")

MAX_NODES: Final = 250
"""The most nodes of a projection that a statement reads: with more, the whole document is the lesser evil."""

AWAY: Final = "The server that keeps something of this person does not answer; try again."
NEWEST_FIRST = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)


class ProfileStatus(StrEnum):
    """What became of a person that was asked for."""

    FOUND = "FOUND"
    NOT_FOUND = "NOT_FOUND"
    INVALID = "INVALID"
    ERASED = "ERASED"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True)
class Profile:
    """A person under a policy. The document is kept as JSON text and parsed when it is first looked into.

    `parts` is what was to be read, as JSON texts; None where everything was.
    """

    policy: MergePolicy
    person: Person
    parts: Sequence[str | None] | None = None

    is_found = True

    @property
    def profile_id(self) -> UUID:
        return self.person.profile_id

    @property
    def policy_id(self) -> UUID:
        return self.policy.policy_id

    @cached_property
    def document(self) -> Document:
        """The merged document, with the identity map rendered from the graph."""
        return self.person.document

    @property
    def size(self) -> int:
        """The document's length in bytes of JSON text, without the identity map."""
        return len(self.person.merged.document.encode()) if self.person.merged else 0


class ProfileResult(NamedTuple):
    """What an xid leads to under a policy. The identity is None if it is unknown or erased. `parts` are those of the projection."""

    xid: UUID
    identity: Identity | None
    status: ProfileStatus
    profile: Profile | None
    parts: Sequence[str | None] | None = None

    @property
    def is_found(self) -> bool:
        return self.profile is not None

    @property
    def message(self) -> str | None:
        """Why nothing can be said of the person now; None where it can."""
        return AWAY if self.status is ProfileStatus.UNAVAILABLE else None

    @property
    def error(self) -> Unavailable | None:
        """The error with this message, for readers of the profile alone; None without a message."""
        return Unavailable(self.message) if self.message else None

    @property
    def profile_id(self) -> UUID | None:
        return self.profile.profile_id if self.profile else None

    @property
    def policy_id(self) -> UUID | None:
        return self.profile.policy_id if self.profile else None

    @property
    def document(self) -> Document:
        """The document of the profile, empty where there is none."""
        return self.profile.document if self.profile else {}


_Record = TypeVar("_Record", Profile, ProfileResult)
_Read = TypeVar("_Read")


class InvalidKey(NamedTuple):
    """The result for an identity that cannot exist, and why it cannot."""

    message: str

    @property
    def status(self) -> ProfileStatus:
        return ProfileStatus.INVALID

    @property
    def xid(self) -> None:
        return None

    @property
    def identity(self) -> None:
        return None

    @property
    def profile(self) -> None:
        return None

    @property
    def is_found(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a person's data is from: the datasets, and when the newest of it came in."""

    sources: tuple[UUID, ...]
    modified_at: datetime


async def read_profiles(
    db: Reader, scope: Scope, config: Configuration, policy: MergePolicy, xids: Sequence[UUID]
) -> list[ProfileResult]:
    """Read the whole profile that each xid leads to; xids of one person lead to equal ones. Needs `profile:read`.

    Raises Forbidden, and Unavailable when writers regroup the people of a cluster faster than they can be read.
    """
    found = await people.read_people(
        db, scope, config, xids, graph=policy.settings.identity_graph, policy=_version_kept(policy)
    )
    known = {each.person.profile_id: each.person for each in found if each.person}
    profiles = {p.profile_id: p for p in await _merged_now(db, scope, config, policy, known.values())}
    return [
        _result(xid, each.identity, profiles[each.person.profile_id] if each.person else None)
        for xid, each in zip(xids, found, strict=True)
    ]


async def project_profiles(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    xids: Sequence[UUID],
    *,
    projection: Projection,
) -> list[ProfileResult]:
    """Read as much of the profile that each xid leads to as is projected, the events in it included. Needs `profile:read`.

    One statement, if the policy keeps profiles by the identity graph and the store is no cluster; else whole profiles come without parts, if
    a part can only be read by SQL. Profiles with a computed value that the statement cannot give come whole, too. Raises Forbidden, Unavailable.
    """
    if projection is WHOLE:
        return await read_profiles(db, scope, config, policy, xids)
    if way := way_kept(db, config, policy, projection):
        found = await people.project_people(db, scope, xids, way)
        if found is not None:
            projected = [_projected(policy, xid, each) for xid, each in zip(xids, found, strict=True)]
            return await _completed(
                db, scope, config, policy, xids, read=projected, lacks=lambda each: each.parts is None
            )
    results = await read_profiles(db, scope, config, policy, xids)
    if projection.is_in_store:
        return results
    return await _evaluated(db, scope, [each.profile for each in results if each.profile], projection, results)


async def project_texts(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    xids: Sequence[UUID],
    *,
    projection: Projection,
) -> Sequence[str | ProfileResult | None]:
    """Read the one JSON text that is projected of each xid's profile or result, None where it is missing; or whole profiles, as
    `project_profiles` does, where there is no such text."""
    if way := way_kept(db, config, policy, projection):
        texts = await people.project_texts(db, scope, xids, way)
        if texts is not None:
            return await _completed(
                db, scope, config, policy, xids, read=texts, lacks=lambda text: text == NOT_COMPUTED
            )
    results = await project_profiles(db, scope, config, policy, xids, projection=projection)
    return [each if each.parts is None else each.parts[0] for each in results]


async def project_texts_alike(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    asked: Sequence[tuple[UUID, Projection]],
) -> Sequence[str | None] | None:
    """Read for each xid the one JSON text of a projection of its own. They differ in values of conditions alone. One statement.

    None where `project_texts` has to read them one projection at a time. Needs `profile:read`. Raises Forbidden.
    """
    way = way_kept(db, config, policy, asked[0][1])
    texts = way and await people.project_texts_alike(db, scope, asked, way)
    return None if texts is None or NOT_COMPUTED in texts else texts


async def search_profiles(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    asked: Window,
    *,
    projection: Projection = WHOLE,
) -> Page[Profile]:
    """List a page of all profiles by the ids of people, which are the keys, as `project_profiles` reads them. Needs `profile:read`.

    Raises Forbidden, BadCursor.
    """
    version = _version_kept(policy)
    way = None if projection is WHOLE else way_kept(db, config, policy, projection)
    if way is not None:
        found = await people.list_projected(db, scope, asked, way)
        if found.items:
            people_found = [(each.person.profile_id, each) for each in found.items if each.person]
            xids, projected = [xid for xid, _ in people_found], [_projected(policy, *each) for each in people_found]
            results = await _completed(
                db, scope, config, policy, xids, read=projected, lacks=lambda each: each.parts is None
            )
            same = [each.profile for each in results if each.profile and each.profile.profile_id == each.xid]
            return Page(same, found.has_next, found.has_previous)
    page = await people.list_people(db, scope, config, asked, graph=policy.settings.identity_graph, policy=version)
    profiles = await _merged_now(db, scope, config, policy, page.items)
    if projection is not WHOLE and not projection.is_in_store:
        profiles = await _evaluated(db, scope, profiles, projection, profiles)
    return Page(profiles, page.has_next, page.has_previous)


async def count_profiles(db: Database, scope: Scope, policy: MergePolicy) -> int:
    """Count the profiles that there are under the policy. Needs `profile:read`."""
    return await people.count_people(db, scope, policy.settings.identity_graph)


async def read_fragments(db: Reader, scope: Scope, members: Sequence[tuple[UUID, ...]]) -> list[list[Fragment]]:
    """Read what the records of each person's members say, the newest first. Needs `profile:read`."""
    scope.require(Permission.PROFILE_READ)
    read = READ_FRAGMENTS_OF_CLUSTER if db.is_distributed else READ_FRAGMENTS
    rows = await db.rows(read, scope.sandbox_id, _all(members))
    by_xid: dict[UUID, list[Fragment]] = {}
    for fragment in await in_time_slices(_fragment, rows):
        by_xid.setdefault(fragment.xid, []).append(fragment)
    return [participants((f for xid in xids for f in by_xid.get(xid, ())), NEWEST_FIRST) for xids in members]


def explain_profile(
    config: Configuration, profile: Profile, fragments: Iterable[Fragment], select: Selector | None = None
) -> list[Provenance]:
    """Explain why each leaf of the document, or of what is selected, has its value; the identity map is no matter of merging.

    `fragments` are those that `read_fragments` gives for the person's members.
    """
    return explain(fragments, profile.policy.settings.attribute_merge, config.composites, select)


async def read_origins(db: Database, scope: Scope, profiles: Sequence[Profile]) -> list[Origin]:
    """Read the origin of each profile: of the fragments in it; if it has none, of its events; else of fragments that take no part.

    Needs `profile:read`.
    """
    scope.require(Permission.PROFILE_READ)
    unmerged = _all([profile.person.xids for profile in profiles if not profile.person.merged])
    events = (
        {row["xid"]: row for row in await db.rows(READ_EVENT_ORIGINS, scope.sandbox_id, unmerged)} if unmerged else {}
    )
    times = (
        {row["xid"]: row for row in await db.rows(READ_FRAGMENT_TIMES, scope.sandbox_id, unmerged)} if unmerged else {}
    )
    return [_origin(profile, events, times) for profile in profiles]


# ------------------------------------------------------------------------------------------------


def _version_kept(policy: MergePolicy) -> PolicyVersion:
    """Return the policy's version, if the store has its profiles ready."""
    is_ready = policy.is_materialized and policy.status is PolicyStatus.ACTIVE
    return (policy.policy_id, policy.version) if is_ready else NO_POLICY


def way_kept(db: Database, config: Configuration, policy: MergePolicy, projection: Projection) -> Way | None:
    """Return how one statement reads the projection: of a person, or an identity's, what the policy keeps of that. None if it cannot."""
    is_graph = policy.settings.identity_graph is IdentityGraphType.PDG
    is_small, version = len(projection.structure[0].nodes) <= MAX_NODES, _version_kept(policy)
    if not (is_graph and is_small) or version == NO_POLICY or db.is_distributed:
        return None
    if projection.computed is None:
        return Way(version, projection)
    return Way(version, projection, computable(config, projection.computed))


async def _merged_now(
    db: Reader, scope: Scope, config: Configuration, policy: MergePolicy, persons: Collection[Person]
) -> list[Profile]:
    """Return the profiles of people. Where none is kept it is merged now: by a policy that keeps none, or because the policy has just changed.
    People without records are among them, and cost no more than a look."""
    unmerged = [person for person in persons if person.merged is None]
    merged: dict[UUID, Profile] = {}
    if unmerged:
        fragments = await read_fragments(db, scope, [person.xids for person in unmerged])
        rule = policy.settings.attribute_merge

        def merge(one: tuple[Person, Sequence[Fragment]]) -> Profile:
            return Profile(policy, one[0]._replace(merged=Merged.of(one[1], rule, config.composites)))

        found = await in_time_slices(merge, zip(unmerged, fragments, strict=True))
        merged = {profile.profile_id: profile for profile in found}
    return [merged.get(person.profile_id) or Profile(policy, person) for person in persons]


def _projected(policy: MergePolicy, xid: UUID, found: people.Found) -> ProfileResult:
    profile = None if found.person is None else Profile(policy, found.person, found.parts)
    return _result(xid, found.identity, profile)._replace(parts=found.parts)


async def _completed(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    xids: Sequence[UUID],
    *,
    read: Sequence[_Read],
    lacks: Callable[[_Read], bool],
) -> list[_Read | ProfileResult]:
    """Return what was read of each xid, and the whole profile in place of each that lacks a value."""
    lacking = [xid for xid, each in zip(xids, read, strict=True) if lacks(each)]
    if not lacking:
        return list(read)
    whole = iter(await read_profiles(db, scope, config, policy, lacking))
    return [next(whole) if lacks(each) else each for each in read]


async def _evaluated(
    db: Database, scope: Scope, profiles: Iterable[Profile], projection: Projection, records: Sequence[_Record]
) -> list[_Record]:
    """Return the records with the parts of a projection, evaluated here. Their lists of events are read first."""
    lists = await _lists_of(db, scope, profiles, projection)

    def evaluated(record: _Record) -> _Record:
        mine = lists.get(record.profile_id)
        exists = record.is_found
        values = [
            evaluate(node, record, mine) if exists or isinstance(node, Object) else None for node in projection.parts
        ]
        parts = tuple(None if value is None else orjson.dumps(value).decode() for value in values)
        if isinstance(record, Profile):
            return replace(record, parts=parts)
        return record._replace(parts=parts, profile=record.profile and replace(record.profile, parts=parts))

    return await in_time_slices(evaluated, records)


async def _lists_of(
    db: Database, scope: Scope, profiles: Iterable[Profile], projection: Projection
) -> dict[UUID | None, Lists]:
    """Read the lists in a projection, by the ids of profiles."""
    nodes = [node for node in dict.fromkeys(projection.nodes) if isinstance(node, PageNode | Count)]
    members = {profile.profile_id: profile.person.event_xids for profile in profiles}
    if not nodes or not members:
        return {}
    return dict(zip(members, await read_lists(db, scope, list(members.values()), nodes), strict=True))


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
        raise Vanished
    return Origin(sources, max(row["modified_at"] for row in rows))


def _fragment(row: Any) -> Fragment:
    text = row["document"]
    return Fragment(**{**row, "document": orjson.loads(text)}, size=len(text))


def _all(members: Sequence[tuple[UUID, ...]]) -> list[UUID]:
    return list({xid for xids in members for xid in xids})
