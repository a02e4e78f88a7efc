"""Comparison of a merge policy with a candidate: profiles are read by both, in one snapshot. Nothing is stored.

Profiles are compared by identity: for each one with data, the documents that it leads to under both policies. So policies can be compared
that do not see the same people. For a person with data under three identities, a change counts three times.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.policies import IdentityGraphType, MergePolicy, PolicySettings, PolicyStatus, check_policy
from gateway.domain.reading.people import list_people
from gateway.domain.reading.profiles import ProfileResult, read_profiles
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import Document, Path, changed_paths, leaves
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import BadInput, LimitExceeded
from gateway.runtime.slices import in_time_slices
from gateway.storage.database import Database, Session

IDENTITIES_PER_READ = 500
"""How many identities are read at a time: few enough that requests to this process are hardly slowed down."""

MAX_SAMPLE = 100_000
MAX_FIELDS = 1_000
MAX_EXAMPLES = 100

MAX_COUNTED_PATHS = 10_000
"""How many different paths are counted: where the keys of a map are data, each person may have its own."""

_locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
"""By sandbox id: a comparison holds a connection for long, so the next one of the same sandbox waits before it takes one."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A leaf of a document with its value under the base and under the candidate; None where a document lacks it."""

    path: Path
    base: Any
    candidate: Any


@dataclass(frozen=True, slots=True)
class ProfileDiff:
    """The changes for one identity, by path."""

    xid: UUID
    changes: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """A leaf of documents, with the number of identities for whose profile it changes."""

    path: Path
    profiles_changed: int


@dataclass(frozen=True, slots=True)
class MergePolicyDiff:
    """The result of a comparison. A profile counts once for each identity with data that leads to it.

    `fields`: the leaves that change, at most MAX_FIELDS, those of most profiles first. `examples`: the first changed profiles by xid,
    at most MAX_EXAMPLES. `is_complete`: time sufficed for all profiles, or for the sample. The compared ones are a fair sample in any
    case, as xids are hashes.
    """

    profiles_compared: int
    is_complete: bool
    profiles_changed: int
    fields: tuple[FieldDiff, ...]
    examples: tuple[ProfileDiff, ...]


async def diff_policies(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    base_id: UUID,
    candidate: PolicySettings,
    *,
    seconds: float,
    sample: int | None = None,
) -> MergePolicyDiff:
    """Compare the profiles of a policy with those under `candidate`, the settings that it may get instead.

    Compare them for all identities with data, or for the first `sample` of them by xid. The candidate is checked as an update of the
    base, so it may have the same name and flags. Comparing stops `seconds` after the call, time spent waiting included.
    Needs `profile:read`. Raises Forbidden, BadInput for an unknown base or a sample below 1, LimitExceeded for a sample over
    MAX_SAMPLE, and what `create_policy` raises for such a candidate.
    """
    scope.require(Permission.PROFILE_READ)
    _check_sample(sample)
    until = asyncio.get_running_loop().time() + seconds
    async with _locks.setdefault(scope.sandbox_id, asyncio.Lock()), configurations.snapshot(db, scope) as (tx, config):
        base = config.policy(base_id)
        await check_policy(tx, scope, candidate, base_id)
        comparison = _Comparison(config, (base, replace(base, settings=candidate, status=PolicyStatus.BUILDING)))
        try:
            async with asyncio.timeout_at(until):
                await comparison.run(tx, scope, sample)
        except TimeoutError:
            return comparison.result(is_complete=False)
        return comparison.result(is_complete=True)


def _check_sample(sample: int | None) -> None:
    if sample is not None and sample < 1:
        raise BadInput("A sample has at least one profile.")
    if sample is not None and sample > MAX_SAMPLE:
        raise LimitExceeded(
            f"A sample has at most {MAX_SAMPLE:,} profiles; leave it out to compare as many as there is time for."
        )


class _Comparison:
    """Counts of what differs between profiles read by two policies. Its size does not grow with the number of profiles."""

    def __init__(self, config: Configuration, policies: tuple[MergePolicy, MergePolicy]) -> None:
        self._config = config
        self._policies = policies
        self._compared = 0
        self._changed = 0
        self._fields: Counter[Path] = Counter()
        self._examples: list[ProfileDiff] = []

    async def run(self, tx: Session, scope: Scope, sample: int | None) -> None:
        """Compare identities with data in the order of their xids: `sample` of them, or all."""
        after, goes_on = None, True
        while goes_on and (sample is None or self._compared < sample):
            window = Window(
                IDENTITIES_PER_READ if sample is None else min(IDENTITIES_PER_READ, sample - self._compared),
                after=after,
            )
            page = await list_people(tx, scope, self._config, window, graph=IdentityGraphType.NONE)
            xids = [single.profile_id for single in page.items]
            base, candidate = [await read_profiles(tx, scope, self._config, policy, xids) for policy in self._policies]
            await self._count(base, candidate)
            after, goes_on = (xids[-1],) if xids else None, page.has_next

    async def _count(self, base: Sequence[ProfileResult], candidate: Sequence[ProfileResult]) -> None:
        known: dict[tuple[UUID, UUID], list[Path]] = {}  # identities of one person lead to one document

        def compare(results: tuple[ProfileResult, ProfileResult]) -> None:
            one, other = results
            if one.profile and other.profile:  # an identity with data has a profile under any policy
                key = (one.profile.profile_id, other.profile.profile_id)
                if key not in known:
                    known[key] = changed_paths(one.profile.document, other.profile.document, self._config.composites)
                if known[key]:
                    self._note(one.xid, known[key], one.profile.document, other.profile.document)
            self._compared += 1

        await in_time_slices(compare, zip(base, candidate, strict=True))

    def _note(self, xid: UUID, paths: Sequence[Path], base: Document, candidate: Document) -> None:
        self._changed += 1
        self._fields.update(path for path in paths if path in self._fields or len(self._fields) < MAX_COUNTED_PATHS)
        if len(self._examples) < MAX_EXAMPLES:
            old, new = (leaves(document, self._config.composites) for document in (base, candidate))
            changes = tuple(FieldChange(path, old.get(path), new.get(path)) for path in paths)
            self._examples.append(ProfileDiff(xid, changes))

    def result(self, *, is_complete: bool) -> MergePolicyDiff:
        """Return what was counted so far."""
        most = sorted(self._fields.items(), key=lambda item: (-item[1], item[0]))[:MAX_FIELDS]
        fields = tuple(FieldDiff(path, count) for path, count in most)
        return MergePolicyDiff(self._compared, is_complete, self._changed, fields, tuple(self._examples))
