"""Profiles: one document for each person, merged from fragments, under every policy that is materialized.

A profile belongs to a subject: a person, or a single identity under a policy without a graph. Subjects without a fragment that the policy
uses have none.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import IdentityGraphType, MergePolicy, PolicyStatus
from gateway.domain.rules.graphs import Graph
from gateway.domain.rules.merge import (
    Document,
    Fragment,
    Merged,
    Path,
    canonical,
    changed_paths,
    merge_ranked,
    participants,
)
from gateway.domain.views.check import Check, Piece
from gateway.domain.views.effects import GraphChange
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.fragments import fragments_by_xid, read_known
from gateway.domain.work import jobs
from gateway.domain.work.job_kinds import JobKind
from gateway.runtime.slices import in_time_slices
from gateway.runtime.uuids import NIL
from gateway.storage.queries import query
from gateway.xdm.paths import cut

LIST_MATERIALIZED = query("profiles.list_materialized")
WRITE_PROFILES = query("profiles.write_profiles")
DELETE_PROFILES = query("profiles.delete_profiles")
READ_PROFILES = query("verification.read_profiles")
LIST_PROFILES = query("verification.list_profiles")
FIND_STRAY_POLICY = query("verification.find_stray_policy")

PROFILE_COLUMNS = ("sandbox_id", *(column.split(" ")[0] for column in WRITE_PROFILES.columns))

MAX_PATHS: Final = 100
"""The most changed paths in the change of one person; of more, none is known."""

IDENTITY_MAP: Final = ("identityMap",)

Fragments = Mapping[UUID, Sequence[Fragment]]
"""Fragments by xid."""


class _Profile(NamedTuple):
    """A profile's document, and its row without the sandbox; no row if the policy uses no fragment of its subject."""

    document: Document
    row: tuple[Any, ...] | None


_Profiles = Mapping[UUID, _Profile]
"""Profiles by subject."""


class Profiles:
    """The view of merged documents."""

    name = "profiles"
    tables = ("profile",)

    async def refresh(self, change: FactChange) -> None:
        """Write the profiles of people whose members or records changed, and say which paths of the default policy's document did."""
        if not change.effects.people:
            return
        people = [person for person in change.people if person.profile_id in change.effects.people]
        await read_known(change, [xid for person in people for xid in person.xids])
        fragments = fragments_by_xid(change.states)
        with_records = {xid for xid, _ in (*change.states, *change.before)}
        former = {p for p, xids in change.former_members.items() if not with_records.isdisjoint(xids)}
        subjects_of = [p for p in people if not (with_records.isdisjoint(p.xids) and former.isdisjoint(p.former))]
        left = former - {person.profile_id for person in change.people}
        written = dict[UUID, _Profiles]()
        if subjects_of or left:  # calls that only add events need no policy, not even a default one that works
            for policy in change.config.materialized if change.policies is None else change.policies:
                written[policy.policy_id] = await _write(change, policy, subjects_of, left, fragments)
        await _tell_paths(change, people, fragments, written)

    async def verify(self, check: Check, piece: Piece) -> None:
        """Compare profiles with what their fragments merge to, but not those of a policy that is being built."""
        fragments = fragments_by_xid(piece.states)
        policies = _kept_policies(check.config)
        ids = [policy.policy_id for policy in policies]
        rows = await check.tx.rows(READ_PROFILES, check.scope.sandbox_id, ids, list(piece.component.degree_limits))
        stored = {(row["policy_id"], row["profile_id"]): row for row in rows}
        for policy in policies:
            for subject, xids in subjects(policy, piece.grouping.people):
                given = [fragment for xid in xids for fragment in fragments.get(xid, ())]
                row = _profile(check.config, policy, subject, given).row
                _compare(check, (policy.policy_id, subject), stored.pop((policy.policy_id, subject), None), row)
        for key in stored:
            check.differs("profile", key, "nobody is this person")

    async def verify_rest(self, check: Check) -> None:
        """Report profiles that are nobody's, and those of policies that keep none, unless a job is to delete them."""
        for policy in _kept_policies(check.config):
            for key in await check.strays("profile", LIST_PROFILES, NIL, fixed=(policy.policy_id,)):
                check.differs("profile", key, "nobody is this person")
        kept = [policy.policy_id for policy in check.config.materialized]
        stray = await check.tx.value(FIND_STRAY_POLICY, check.scope.sandbox_id, kept)
        if stray and not await jobs.is_open(check.tx, check.scope, JobKind.MATERIALIZE_POLICY, stray):
            check.differs("profile", stray, "is kept by a policy that keeps nothing, and no job is to forget it")


PROFILES = Profiles()


# ------------------------------------------------------------------------------------------------ documents


def _profile(config: Configuration, policy: MergePolicy, subject: UUID, fragments: Iterable[Fragment]) -> _Profile:
    """Merge the fragments of a subject."""
    ranked = participants(fragments, policy.settings.attribute_merge)
    document = merge_ranked(ranked, config.composites)
    if not ranked:
        return _Profile(document, None)
    merged = Merged.of_ranked(ranked, document)
    return _Profile(document, (policy.policy_id, subject, merged.document, list(merged.sources), merged.modified_at))


def subjects(policy: MergePolicy, people: Iterable[GraphChange | Graph]) -> Iterator[tuple[UUID, Sequence[UUID]]]:
    """List the subjects of a policy's profiles, each with the xids whose fragments are merged.

    A subject is a person, by profile id; under a policy without a graph, each identity of these people is a subject, by xid.
    """
    if policy.settings.identity_graph is IdentityGraphType.PDG:
        yield from ((person.profile_id, person.xids) for person in people)
    else:
        yield from ((xid, (xid,)) for person in people for xid in person.xids)


async def _write(
    change: FactChange, policy: MergePolicy, people: Sequence[GraphChange], left: Collection[UUID], fragments: Fragments
) -> _Profiles:
    """Write the profiles of these people under a policy, and return them by subject.

    Delete those of the people who `left`, and of subjects without a fragment.
    """
    tx, scope = change.tx, change.scope

    def merged(subject: tuple[UUID, Sequence[UUID]]) -> tuple[UUID, _Profile]:
        given = [fragment for xid in subject[1] for fragment in fragments.get(xid, ())]
        return subject[0], _profile(change.config, policy, subject[0], given)

    found = dict(await in_time_slices(merged, subjects(policy, people)))
    fresh = change.newcomers if change.policies is None else await _without_profile(change, policy, found)
    rows = sorted((profile.row for profile in found.values() if profile.row), key=lambda row: row[1])
    gone = {subject for subject, profile in found.items() if profile.row is None}
    if policy.settings.identity_graph is IdentityGraphType.PDG:
        gone |= {*left, *(former for person in people for former in person.former)} - found.keys()
    else:
        gone |= {xid for xid, _ in change.changed} - found.keys()
    if gone := gone - fresh:
        await tx.execute(DELETE_PROFILES, scope.sandbox_id, [policy.policy_id], list(gone))
    await tx.copy("profile", PROFILE_COLUMNS, [(scope.sandbox_id, *row) for row in rows if row[1] in fresh])
    await tx.update_rows(WRITE_PROFILES, scope.sandbox_id, rows=[row for row in rows if row[1] not in fresh])
    return found


async def _without_profile(change: FactChange, policy: MergePolicy, subjects: Iterable[UUID]) -> set[UUID]:
    every = set(subjects)
    rows = await change.tx.rows(LIST_MATERIALIZED, change.scope.sandbox_id, policy.policy_id, list(every))
    return every - {row["profile_id"] for row in rows}


# ------------------------------------------------------------------------------------------------ changed paths


async def _tell_paths(
    change: FactChange, people: Iterable[GraphChange], fragments: Fragments, written: Mapping[UUID, _Profiles]
) -> None:
    """Say in the effects which paths of the default policy's document changed, of people who were there before. `written`: by policy.

    They stay unknown under a policy without a graph, and where a policy's profiles are written anew, since it may have been another one.
    """
    policies = change.config.policies.values()
    policy = next((policy for policy in policies if policy.settings.is_default), None)
    known = [person for person in people if person.profile_id in change.former_members]
    if not known or policy is None or policy.settings.identity_graph is IdentityGraphType.NONE or change.policies:
        return
    config, rule, now = change.config, policy.settings.attribute_merge, written.get(policy.policy_id, {})
    former = {**fragments, **_former_fragments(change)}

    def paths_of(person: GraphChange) -> tuple[Path, ...]:
        xids, profile = change.former_members[person.profile_id], now.get(person.profile_id)
        ranked = participants((fragment for xid in xids for fragment in former.get(xid, ())), rule)
        then = ranked[0].document if len(ranked) == 1 else merge_ranked(ranked, config.composites)
        found = _changed_paths(config, then, profile.document if profile else {})
        return found if xids == person.xids else tuple(sorted({*found, IDENTITY_MAP}))

    effects = change.effects.people
    for person, paths in zip(known, await in_time_slices(paths_of, known), strict=True):
        if len(paths) <= MAX_PATHS:
            effects[person.profile_id] = effects[person.profile_id]._replace(paths=paths)


def _former_fragments(change: FactChange) -> Fragments:
    """Make the fragments as they were before the change, of identities with a record that changed; empty if it had none."""
    xids = {xid for xid, _ in change.changed}
    every = change.states | change.before
    former = fragments_by_xid({key: state for key, state in every.items() if state is not None and key[0] in xids})
    return {xid: former.get(xid, ()) for xid in xids}


def _changed_paths(config: Configuration, then: Document, now: Document) -> tuple[Path, ...]:
    """Return the sorted paths at which a document differs, each cut where it enters a map; but the identity map, which is not merged."""
    paths = {cut(path, config.maps) for path in changed_paths(then, now, config.composites)}
    return tuple(sorted(paths - {IDENTITY_MAP}))


# ------------------------------------------------------------------------------------------------ verifying


def _kept_policies(config: Configuration) -> list[MergePolicy]:
    return [policy for policy in config.materialized if policy.status is PolicyStatus.ACTIVE]


def _compare(check: Check, key: tuple[UUID, UUID], stored: Any, merged: tuple[Any, ...] | None) -> None:
    if merged is not None:
        check.make("profile", [key])
    check.compared[PROFILES.name] += stored is not None or merged is not None
    if stored is None or merged is None:
        if stored is not merged:
            check.differs("profile", key, "is missing" if stored is None else "has no fragment that takes part")
    elif not _is_same(stored, merged):
        check.differs("profile", key, "is not what its fragments merge to")


def _is_same(stored: Any, merged: tuple[Any, ...]) -> bool:
    _, _, document, sources, modified_at = merged
    same: bool = stored["sources"] == sources and stored["modified_at"] == modified_at
    return same and canonical(orjson.loads(stored["document"])) == canonical(orjson.loads(document))
