"""Previews: how many people there are under a merge policy, and of what their data is made. Counts alone, of one moment; they name nobody.

A fragment is here what one dataset holds under one identity: a record, or events. A dataset is one of a person where a record of it takes part
in the profile, or an event of it is theirs.

What takes too long to be counted within a request is told by the report of the day (`operations/preview_reports.py`).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.datasets import Dataset
from gateway.domain.config.namespaces import Namespace
from gateway.domain.config.policies import IdentityGraphType, MergePolicy
from gateway.domain.reading.people import count_people
from gateway.domain.rules.merge import AttributeMergeType
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import Timeout
from gateway.storage.database import Database, Session
from gateway.storage.queries import fill, part, query, template

BEGIN = query("previews.begin_preview")
COUNT_DATA = query("previews.count_data")
COUNT_PEOPLE = template("previews.count_people")
READ_REPORT = query("previews.read_report")

RETENTION_DAYS: Final = (7, 14, 30, 60, 90, 120, 365)
"""For how long events might be kept."""
UNKNOWN_DAYS: Final = (7, 30, 60, 90, 120)
"""For how long nothing may have been heard of an unknown profile."""
MAX_OVERLAPS: Final = 100
"""Sets of datasets, and of namespaces, that are told one by one: there could be as many as people."""

PROFILES, DATA, PEOPLE = "profiles", "data", "people"
ALL_COUNTS: Final = frozenset({PROFILES, DATA, PEOPLE})
"""What is counted: how many people there are; what each dataset holds; of what people are made, which tells their number, too."""

_NUMBERED: Final = {
    "numbered_datasets": fill(part("previews.numbered"), key="dataset_id"),
    "numbered_namespaces": fill(part("previews.numbered"), key="namespace_id"),
}
COUNTING: Final = {
    IdentityGraphType.PDG: COUNT_PEOPLE.filled(person="i.profile_id", members=part("previews.graphs"), **_NUMBERED),
    IdentityGraphType.NONE: COUNT_PEOPLE.filled(person="i.xid", members=part("previews.primaries"), **_NUMBERED),
}
"""The statement that counts people, by what makes a person of identities."""


class DatasetShare(NamedTuple):
    """How many profiles have data of a dataset, which part of all that is, and how many records or events it holds."""

    dataset: Dataset
    profiles: int
    percentage: float
    records: int


class NamespaceShare(NamedTuple):
    """How many profiles have an identity of a namespace, which part of all that is, and how many fragments are stored under such identities."""

    namespace: Namespace
    profiles: int
    fragments: int
    percentage: float


class Overlap(NamedTuple):
    """How many profiles have exactly these datasets or namespaces, by their keys; without keys: all that are in no other set."""

    keys: tuple[str, ...]
    profiles: int


class UnknownProfiles(NamedTuple):
    """The profiles that have a single fragment, and no event of the last days: how many, with how many older events, by namespace."""

    days: int
    profiles: int
    events: int
    by_namespace: tuple[NamespaceShare, ...]


class RetentionCount(NamedTuple):
    """How many events, and how many records, would be left of a dataset that keeps events for some days."""

    dataset: Dataset
    days: int
    events: int
    records: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted at a moment, as it is kept; None for what was not. `data` has a list for each dataset, `people` an object."""

    at: datetime
    last_document_at: datetime | None
    data: Sequence[Any] | None = None
    people: Any = None
    profiles: int | None = None


@dataclass(frozen=True, slots=True)
class ProfilePreview:
    """The people under a policy in numbers, as they were at `taken_at`. What was not counted cannot be asked for.

    `is_exact`: it is of the moment that was asked for. Datasets and namespaces that are gone by now are left out, but for the sets that they were in.
    """

    config: Configuration
    policy: MergePolicy
    counts: Counts
    is_exact: bool

    @property
    def taken_at(self) -> datetime:
        """When it was counted."""
        return self.counts.at

    @property
    def last_updated_at(self) -> datetime | None:
        """When the newest of the stored documents came in; None without any."""
        return self.counts.last_document_at

    @property
    def total_profiles(self) -> int:
        """How many people there are."""
        if self.counts.profiles is not None:
            return self.counts.profiles
        total: int = self.counts.people["profiles"]
        return total

    @property
    def total_fragments(self) -> int:
        """How many fragments their data is of."""
        return sum(each.fragments for each in self._data)

    @property
    def total_events(self) -> int:
        """How many events they have."""
        return sum(each.events for each in self._data)

    @property
    def retention(self) -> list[RetentionCount]:
        """What would be left of each dataset, by its name, then by days."""
        return [
            RetentionCount(dataset, days, remaining, each.records)
            for dataset, each in self._datasets
            for days, remaining in zip(RETENTION_DAYS, reversed(each.remaining), strict=True)
        ]

    @property
    def by_dataset(self) -> list[DatasetShare]:
        """How much each dataset that holds something takes part, that of most profiles first."""
        people = {UUID(key): count for key, count in self.counts.people["datasets"] or ()}
        shares = []
        for dataset, each in self._datasets:
            profiles = people.get(dataset.dataset_id, 0)
            shares.append(DatasetShare(dataset, profiles, self._share(profiles), each.records + each.events))
        return sorted(shares, key=lambda share: (-share.profiles, share.dataset.name))

    @property
    def by_namespace(self) -> list[NamespaceShare]:
        """How much each namespace takes part, that of most profiles first."""
        return list(self._namespaces(self.counts.people["namespaces"] or (), self.total_profiles))

    @property
    def dataset_overlap(self) -> list[Overlap]:
        """How many profiles have exactly which datasets, by their ids."""
        return self._overlaps(self.counts.people["datasetSets"])

    @property
    def namespace_overlap(self) -> list[Overlap]:
        """How many profiles have exactly which namespaces, by their codes."""
        return self._overlaps(self.counts.people["namespaceSets"])

    @property
    def unknown_profiles(self) -> list[UnknownProfiles]:
        """The unknown profiles of each window, the shortest first."""
        found = {place: counts for place, *counts in self.counts.people["unknown"] or ()}
        namespaces = self.counts.people["unknownNamespaces"] or ()
        windows = []
        for place, days in enumerate(reversed(UNKNOWN_DAYS), 1):
            profiles, events = found.get(place, (0, 0))
            of_window = [counts for where, *counts in namespaces if where == place]
            windows.append(UnknownProfiles(days, profiles, events, tuple(self._namespaces(of_window, profiles))))
        return windows[::-1]

    @property
    def _data(self) -> list["_DatasetCount"]:
        return [_DatasetCount(UUID(key), *counts) for key, *counts in self.counts.data or ()]

    @property
    def _datasets(self) -> list[tuple[Dataset, "_DatasetCount"]]:
        known = [(self.config.datasets.find(each.dataset_id), each) for each in self._data]
        return sorted(((dataset, each) for dataset, each in known if dataset), key=lambda found: found[0].name)

    def _namespaces(self, counts: Iterable[Any], total: int) -> list[NamespaceShare]:
        shares = [
            NamespaceShare(namespace, profiles, fragments, profiles / total)
            for key, profiles, fragments in counts
            if (namespace := self.config.namespaces.find(key)) is not None
        ]
        return sorted(shares, key=lambda share: (-share.profiles, share.namespace.code))

    def _overlaps(self, counts: Sequence[Any] | None) -> list[Overlap]:
        told = sorted(
            (Overlap(tuple(sorted(keys)), profiles) for keys, profiles in counts or ()),
            key=lambda overlap: (-overlap.profiles, overlap.keys),
        )
        rest = self.total_profiles - sum(each.profiles for each in told)
        return [*told, Overlap((), rest)] if rest else told

    def _share(self, profiles: int) -> float:
        return profiles / self.total_profiles if profiles else 0.0


class _DatasetCount(NamedTuple):
    dataset_id: UUID
    fragments: int
    records: int
    events: int
    remaining: Sequence[int]


async def preview_profiles(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    policy_id: UUID | None,
    *,
    seconds: float,
    wanted: Collection[str] = ALL_COUNTS,
) -> ProfilePreview:
    """Count what is `wanted` of the people under a policy, the default one for None, in one snapshot.

    Where a statement takes longer than `seconds`, return the newest report. Needs `profile:read`. Raises Forbidden, BadInput for an unknown policy or
    one that keeps no profiles, Misconfigured, and Timeout where there is no report, either.
    """
    scope.require(Permission.PROFILE_READ)
    try:
        async with configurations.snapshot(db, scope) as (tx, config):
            policy = _kept(config, policy_id)
            await tx.limit_time(seconds)
            return ProfilePreview(config, policy, await count_all(tx, scope, policy, wanted), is_exact=True)
    except Timeout as error:
        config = await configurations.read(db, scope)
        found = await _read_report(db, scope, config, _kept(config, policy_id), (date.min, date.max))
        if found is None:
            raise Timeout(
                "Counting all of them took too long, and no report has been taken yet: try again in an hour."
            ) from error
        return found


async def read_report(
    db: Database, scope: Scope, config: Configuration, policy_id: UUID | None, day: date
) -> ProfilePreview | None:
    """Read the report of a day (UTC) and a policy, the default one for None; None where none was taken. Needs `profile:read`.

    Raises Forbidden, BadInput for an unknown policy or one that keeps no profiles, Misconfigured.
    """
    scope.require(Permission.PROFILE_READ)
    return await _read_report(db, scope, config, _kept(config, policy_id), (day, day), is_exact=True)


async def count_all(tx: Session, scope: Scope, policy: MergePolicy, wanted: Collection[str] = ALL_COUNTS) -> Counts:
    """Count all that is wanted of the people under a policy, in the snapshot of a session. Needs no permission."""
    begun: Any = await tx.row(BEGIN, scope.sandbox_id)
    graph, counts = policy.settings.identity_graph, Counts(begun["at"], begun["last_document_at"])
    data = await _count_data(tx, scope, counts.at) if DATA in wanted else None
    people = await _count_people(tx, scope, policy, counts.at) if PEOPLE in wanted else None
    profiles = await count_people(tx, scope, graph) if people is None and PROFILES in wanted else None
    return Counts(counts.at, counts.last_document_at, data, people, profiles)


async def _count_data(tx: Session, scope: Scope, at: datetime) -> list[Any]:
    rows = await tx.rows(COUNT_DATA, scope.sandbox_id, _before(at, RETENTION_DAYS))
    return [[str(dataset_id), *counts] for dataset_id, *counts in rows]


async def _count_people(tx: Session, scope: Scope, policy: MergePolicy, at: datetime) -> Any:
    rule = policy.settings.attribute_merge
    listed = list(rule.order) if rule.type is AttributeMergeType.DATASET_PRECEDENCE else None
    statement = COUNTING[policy.settings.identity_graph]
    return orjson.loads(await tx.value(statement, scope.sandbox_id, _before(at, UNKNOWN_DAYS), listed, MAX_OVERLAPS))


def _before(at: datetime, days: Iterable[int]) -> list[datetime]:
    """Return the times so many days before one, the earliest first."""
    return sorted(at - timedelta(days=each) for each in days)


async def _read_report(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    days: tuple[date, date],
    *,
    is_exact: bool = False,
) -> ProfilePreview | None:
    row: Any = await db.row(READ_REPORT, scope.sandbox_id, policy.policy_id, *days)
    if row is None:
        return None
    kept = Counts(row["taken_at"], row["last_document_at"], orjson.loads(row["data"]), orjson.loads(row["people"]))
    return ProfilePreview(config, policy, kept, is_exact)


def _kept(config: Configuration, policy_id: UUID | None) -> MergePolicy:
    policy = config.policy(policy_id)
    policy.require_kept("A preview")
    return policy
