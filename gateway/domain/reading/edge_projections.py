"""Edge projections: what a configuration takes of a person, as edges hold it and the hub tells it.

The profile is read by the edge-active policy, in one statement for all people: the selector's part of it, with values of computed
attributes, and the window of the newest events. What no statement can tell, such as values that are computed for each event, is evaluated
over whole documents.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.attribute_programs import in_order
from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import MergePolicy
from gateway.domain.config.projection_configurations import EventWindow, ProjectionConfiguration
from gateway.domain.reading.attribute_documents import with_values_of_events, with_values_of_people
from gateway.domain.reading.conditions import Condition, check_condition, on_nodes, read_instant
from gateway.domain.reading.events import NO_KEY, EventFilter, EventOrder, EventRequest, list_events
from gateway.domain.reading.people_statements import PERSON
from gateway.domain.reading.profiles import Profile, ProfileResult, project_profiles, read_profiles
from gateway.domain.reading.sliding_windows import read_next_changes
from gateway.domain.reading.subsets import subset
from gateway.domain.rules.durations import Duration
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import Document
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import BadPql, Conflict
from gateway.projection.evaluate import evaluate, printed
from gateway.projection.tree import Column, Each, Format, Node, Object, Page, Projection, computed_in
from gateway.projection.tree import Document as DocumentPart
from gateway.runtime.slices import in_time_slices
from gateway.storage.database import Database
from gateway.xdm.classes import XdmClass

MAX_BYTES: Final = 256_000
"""Of the profile and the events of a projection together, as JSON text."""

REFRESH: Final = timedelta(hours=1)
"""How long a value stands that an expression computes of the time itself, at most."""

NEWEST_FIRST: Final = EventOrder(descending=True)

_TIMES, _EVENTS = "times", "events"


class TooLarge(NamedTuple):
    """Stands for a person's projection of more than MAX_BYTES, which is not made; `size` is how many it would have."""

    profile_id: UUID
    size: int


@dataclass(frozen=True, slots=True)
class EdgeProjection:
    """What a configuration takes of a person at `projected_at`.

    `profile` and each of `events`, the newest first, are JSON texts; `times` are the timestamps of the events. `etag`, without quotes, is of
    these texts alone. `due`: when they may be others without any change of the person's data, None for never. `identities`: those of the
    person, by the codes of namespaces.
    """

    profile_id: UUID
    identities: Mapping[str, Sequence[str]]
    profile: str
    events: tuple[str, ...]
    times: tuple[datetime, ...]
    projected_at: datetime
    due: datetime | None
    size: int
    etag: str

    @property
    def document(self) -> str:
        """The profile and the events as one JSON text."""
        return f'{{"profile":{self.profile},"events":[{",".join(self.events)}]}}'


async def project(
    db: Database, scope: Scope, config: Configuration, configuration: ProjectionConfiguration, xids: Sequence[UUID]
) -> list[EdgeProjection | TooLarge | None]:
    """Return what a configuration takes of the person that each xid leads to, by the edge-active policy; None where there is nobody.

    Needs `profile:read`. Raises Forbidden; Conflict without such a policy; BadPql for a condition on events that the sandbox's schemas do
    not allow any more, or that computes a value out of range; Unavailable.
    """
    scope.require(Permission.PROFILE_READ)
    policy = edge_policy(config)
    if not xids:
        return []
    asked = await _Asked.of(db, config, configuration)
    place = _Place(db, scope, config, policy)
    taken = await _projected(place, asked, xids)
    if taken is None:
        taken = await _evaluated(place, asked, xids)
    results, parts = taken
    dues = await _dues(place, asked, results)

    def told(one: tuple[ProfileResult, "_Parts | None", datetime | None]) -> EdgeProjection | TooLarge | None:
        result, read, due = one
        if result.profile is None or read is None:
            return None
        return _told(result.profile, read, asked, due)

    return await in_time_slices(told, zip(results, parts, dues, strict=True))


def edge_policy(config: Configuration) -> MergePolicy:
    """Return the policy by which edges see people. Raises Conflict where none is active on the edge."""
    if config.edge_policy is None:
        raise Conflict("No merge policy is active on the edge: set `isActiveOnEdge` of one first.")
    return config.edge_policy


# ------------------------------------------------------------------------------------------------ what is asked


class _Place(NamedTuple):
    """Where people are read, and by which policy."""

    db: Database
    scope: Scope
    config: Configuration
    policy: MergePolicy


class _Parts(NamedTuple):
    """What was read of a person: JSON texts, and the times of the events."""

    profile: str
    events: tuple[str, ...]
    times: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A configuration at an instant, as nodes of a projection: what it takes of the profile, and of each event of a window."""

    at: datetime
    profile: Node
    window: EventWindow | None
    event: Node
    request: EventRequest | None

    @classmethod
    async def of(cls, db: Database, config: Configuration, configuration: ProjectionConfiguration) -> "_Asked":
        at, window = await read_instant(db), configuration.settings.events
        profile = subset(configuration.tree, config.full_union(XdmClass.INDIVIDUAL_PROFILE))
        if window is None:
            return cls(at, profile, None, profile, None)
        event = subset(configuration.event_tree or {}, config.full_union(XdmClass.EXPERIENCE_EVENT))
        since = None if window.within is None else window.within.before(at)
        condition = None if window.where is None else await _condition(config, window.where)
        filter_ = EventFilter(since=since, where=None if condition is None else on_nodes(db, condition).predicate)
        return cls(at, profile, window, event, EventRequest(filter_, NEWEST_FIRST, Window(window.last)))

    @property
    def within(self) -> Duration | None:
        """How old the events may be."""
        return None if self.window is None else self.window.within

    @property
    def attributes(self) -> list[str]:
        """The computed attributes of people that are taken, by name."""
        return computed_in(self.profile) or []

    @property
    def events_compute(self) -> bool:
        """Whether values are computed for each event."""
        return self.window is not None and computed_in(self.event) is not None

    @property
    def page(self) -> Page | None:
        """The window of events, read as two lists of equal length."""
        if self.request is None:
            return None
        times, events = Each(Column("timestamp", Format.TIME)), Each(DocumentPart(self.event))
        return Page(self.request.rows(NO_KEY), Object(((_TIMES, times), (_EVENTS, events))))


async def _condition(config: Configuration, where: str) -> Condition:
    found = await check_condition(config, (XdmClass.EXPERIENCE_EVENT, where))
    if isinstance(found, Condition):
        return found
    problem = found[0]
    raise BadPql(problem.error.message, line=problem.line, column=problem.column)


# ------------------------------------------------------------------------------------------------ two ways to read it


_Taken = tuple[Sequence[ProfileResult], Sequence[_Parts | None]]


async def _projected(place: _Place, asked: _Asked, xids: Sequence[UUID]) -> _Taken | None:
    """Read the parts by statements that project; None where these cannot tell all of it."""
    if asked.events_compute:
        return None
    nodes: tuple[Node, ...] = (DocumentPart(asked.profile), *((asked.page,) if asked.page else ()))
    projection = Projection(nodes, frozenset({PERSON}))
    results = await project_profiles(*place, xids, projection=projection)
    if any(result.is_found and result.parts is None for result in results):
        return None
    return results, [_split(*result.parts) if result.is_found and result.parts else None for result in results]


def _split(profile: str | None, page: str | None = None) -> _Parts:
    if page is None:
        return _Parts(profile or "{}", (), ())
    read = orjson.loads(page)
    return _Parts(profile or "{}", tuple(map(_text, read[_EVENTS])), tuple(read[_TIMES]))


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


async def _evaluated(place: _Place, asked: _Asked, xids: Sequence[UUID]) -> _Taken:
    """Read whole profiles and whole events, with all values that are computed for them, and evaluate the parts here."""
    results = await read_profiles(*place, xids)
    people = {result.profile.profile_id: result.profile for result in results if result.profile}
    profiles = list(people.values())
    documents: Sequence[Document] = [profile.document for profile in profiles]
    if asked.attributes:
        documents = await with_values_of_people(*place[:3], asked.attributes, profiles)
    events = await _events(place, asked, profiles)

    def evaluated(one: tuple[Document, tuple[tuple[str, ...], tuple[str, ...]]]) -> _Parts:
        document, page = one
        return _Parts(_text(evaluate(asked.profile, document)), *page)

    found = await in_time_slices(evaluated, zip(documents, events, strict=True))
    parts = dict(zip(people, found, strict=True))
    return results, [parts[result.profile.profile_id] if result.profile else None for result in results]


async def _events(
    place: _Place, asked: _Asked, profiles: Sequence[Profile]
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the window of each person's events as JSON texts, and their times."""
    if asked.request is None:
        return [((), ()) for _ in profiles]
    db, scope, config, _ = place
    pages = await list_events(db, scope, [profile.person.event_xids for profile in profiles], asked.request)
    found = []
    for page in pages:
        documents: Sequence[Document] = [event.document for event in page.items]
        if names := computed_in(asked.event):
            documents = await with_values_of_events(db, scope, config, names, page.items)
        texts = tuple(_text(evaluate(asked.event, document)) for document in documents)
        found.append((texts, tuple(printed(event.timestamp) for event in page.items)))
    return found


# ------------------------------------------------------------------------------------------------ projections


def _told(profile: Profile, parts: _Parts, asked: _Asked, due: datetime | None) -> EdgeProjection | TooLarge:
    content = "\0".join((parts.profile, *parts.events)).encode()
    if len(content) > MAX_BYTES:
        return TooLarge(profile.profile_id, len(content))
    times = tuple(map(datetime.fromisoformat, parts.times))
    if asked.within is not None and times:
        leaves = asked.within.left_behind(times[-1], asked.at)
        due = min(filter(None, (due, leaves, asked.within.next_leap(asked.at))))
    named = orjson.loads(profile.person.identity_map)
    identities = {code: [each["id"] for each in listed] for code, listed in named.items()}
    etag = urlsafe_b64encode(blake2b(content, digest_size=16).digest()).rstrip(b"=").decode()
    read = profile.profile_id, identities, parts.profile, parts.events, times
    return EdgeProjection(*read, asked.at, due, len(content), etag)


async def _dues(place: _Place, asked: _Asked, results: Sequence[ProfileResult]) -> list[datetime | None]:
    """Return for each result when values of attributes may be others by time alone; one statement for each length of window."""
    db, scope, config, _ = place
    programs = in_order(config.programs.programs, asked.attributes)
    sliding = {each.name for each in programs if each.is_of_events and each.window.lookback is not None}
    attributes = {each.settings.lookback: each for each in config.attributes.values() if each.name in sliding}
    refresh = asked.at + REFRESH if any(each.expression.reads_time for each in programs) else None
    dues = [refresh if result.profile else None for result in results]
    if not attributes:
        return dues
    found_at = [number for number, result in enumerate(results) if result.profile]
    members = [result.profile.person.event_xids for result in results if result.profile]
    times = [asked.at] * len(members)
    for attribute in attributes.values():
        found = await read_next_changes(db, scope, attribute, members, times)
        for number, next_change in zip(found_at, found, strict=True):
            dues[number] = min(filter(None, (dues[number], next_change)), default=None)
    return dues
