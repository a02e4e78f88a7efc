"""Fragments and merged profiles, written in the transaction that changed the facts.

A fragment is what a record says now: the fold of its versions. A profile is merged from the fragments of its
subject: a person, or a single identity under a policy without a graph.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import IdentityGraphType, MergePolicy
from gateway.domain.facts.documents import last_updated
from gateway.domain.rules.graphs import Graph
from gateway.domain.rules.merge import Fragment, Merged
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import Mode, RecordState, Version, VersionOrder, fold
from gateway.domain.views.graph_union import GraphChange
from gateway.runtime.slices import in_time_slices
from gateway.storage.database import Session
from gateway.storage.queries import query

READ_STATES = query("materialized.read_states")
READ_VERSIONS = query("materialized.read_versions")
WRITE_FRAGMENTS = query("materialized.write_fragments")
DELETE_FRAGMENTS = query("materialized.delete_fragments")
WRITE_PROFILES = query("materialized.write_profiles")
DELETE_PROFILES = query("materialized.delete_profiles")

FRAGMENT_COLUMNS = ("sandbox_id", *(column.split(" ")[0] for column in WRITE_FRAGMENTS.columns))
PROFILE_COLUMNS = ("sandbox_id", *(column.split(" ")[0] for column in WRITE_PROFILES.columns))

RecordKey = tuple[UUID, UUID]
"""The xid and the dataset id of a record."""

RecordStates = dict[RecordKey, RecordState]


# ------------------------------------------------------------------------------------------------ records


async def read_states(tx: Session, scope: Scope, xids: Collection[UUID]) -> RecordStates:
    """Read the state of every record of these identities, deleted ones included."""
    if not xids:
        return {}
    return dict(await in_time_slices(_state, await tx.rows(READ_STATES, scope.sandbox_id, list(xids))))


async def read_versions(tx: Session, scope: Scope, keys: Sequence[RecordKey]) -> dict[RecordKey, list[Version]]:
    """Read all versions of these records, in no order. A record without a version has an empty list."""
    versions: dict[RecordKey, list[Version]] = {key: [] for key in keys}
    if not versions:
        return versions
    xids, dataset_ids = {key[0] for key in versions}, {key[1] for key in versions}

    def note(row: Any) -> None:
        if (key := (row["xid"], row["dataset_id"])) in versions:
            place = VersionOrder(row["ingested_at"], row["batch_id"], row["ordinal"])
            versions[key].append(Version(Mode(row["mode"]), orjson.loads(row["input"]), place))

    await in_time_slices(note, await tx.rows(READ_VERSIONS, scope.sandbox_id, list(xids), list(dataset_ids)))
    return versions


async def refold(tx: Session, scope: Scope, versions: Mapping[RecordKey, Sequence[Version]]) -> None:
    """Write the fragments of these records anew from all of their versions, or delete them where no version is left."""
    folded = dict(await in_time_slices(lambda item: (item[0], fold(item[1])), versions.items()))
    gone = sorted(key for key, state in folded.items() if state is None)
    await tx.update_rows(DELETE_FRAGMENTS, scope.sandbox_id, rows=gone)
    await write_states(tx, scope, {key: state for key, state in folded.items() if state}, fresh=set())


async def write_states(tx: Session, scope: Scope, states: RecordStates, *, fresh: set[UUID]) -> None:
    """Write the fragments of these records. COPY appends the fragments of `fresh` xids, which are new in this transaction."""
    rows = await in_time_slices(lambda item: fragment_row(*item), states.items())
    rows.sort(key=lambda row: row[:2])
    await tx.copy("fragment", FRAGMENT_COLUMNS, [(scope.sandbox_id, *row) for row in rows if row[0] in fresh])
    await tx.update_rows(WRITE_FRAGMENTS, scope.sandbox_id, rows=[row for row in rows if row[0] not in fresh])


def fragment_row(key: RecordKey, state: RecordState) -> tuple[Any, ...]:
    """Return the row of a record's fragment, without the sandbox."""
    document, decided, head = state.document, state.decided_at, state.head
    return (
        *(*key, decided.ordinal, decided.batch_id, decided.ingested_at),
        last_updated(document) if document else None,
        None if state.is_input or document is None else orjson.dumps(document).decode(),
        document is None,
        *(head.ingested_at, head.batch_id, head.ordinal),
    )


def _state(row: Any) -> tuple[RecordKey, RecordState]:
    state = RecordState(
        document=None if row["is_deleted"] else orjson.loads(row["document"]),
        decided_at=VersionOrder(row["ingested_at"], row["batch_id"], row["ordinal"]),
        is_input=row["is_input"],
        head=VersionOrder(row["head_at"], row["head_batch_id"], row["head_ordinal"]),
    )
    return (row["xid"], row["dataset_id"]), state


# ------------------------------------------------------------------------------------------------ profiles


def fragments_by_xid(states: RecordStates) -> dict[UUID, list[Fragment]]:
    """Make the fragments of the records that are not deleted, as the merge takes them, by xid."""
    fragments: dict[UUID, list[Fragment]] = {}
    for (xid, dataset_id), state in states.items():
        if state.document is not None:
            decided = state.decided_at
            observed_at = last_updated(state.document)
            fragment = Fragment(
                xid, dataset_id, decided.batch_id, state.document, decided.ingested_at, observed_at, decided.ordinal
            )
            fragments.setdefault(xid, []).append(fragment)
    return fragments


async def materialize(
    tx: Session,
    scope: Scope,
    config: Configuration,
    people: Sequence[GraphChange],
    states: RecordStates,
    *,
    fresh: set[UUID],
    policies: Sequence[MergePolicy] | None = None,
) -> None:
    """Write the profiles of these people under every materialized policy, or under those given.

    `states` are those of all their records. Profiles of `fresh` subjects, which have none yet, are appended by COPY.
    Profiles without a fragment, and those of former people, are deleted.
    """
    if not people:
        return  # calls that only add events need no policy, not even a default one that works
    fragments = fragments_by_xid(states)
    former = {profile_id for person in people for profile_id in person.former}
    rows = []
    for policy in config.materialized if policies is None else policies:
        merge = partial(_merged, config, policy, fragments)
        merged = dict(await in_time_slices(merge, subjects(policy, people)))
        rows += [row for row in merged.values() if row]
        gone = {subject for subject, row in merged.items() if row is None} - fresh
        if policy.settings.identity_graph is IdentityGraphType.PDG:
            gone |= former - merged.keys()
        await _delete_profiles(tx, scope, [policy], gone)
    rows.sort(key=lambda row: row[:2])
    await tx.copy("profile", PROFILE_COLUMNS, [(scope.sandbox_id, *row) for row in rows if row[1] in fresh])
    await tx.update_rows(WRITE_PROFILES, scope.sandbox_id, rows=[row for row in rows if row[1] not in fresh])


async def delete_profiles(tx: Session, scope: Scope, config: Configuration, subjects: Collection[UUID]) -> None:
    """Delete the profiles of these subjects under every materialized policy."""
    await _delete_profiles(tx, scope, config.materialized, subjects)


async def _delete_profiles(
    tx: Session, scope: Scope, policies: Sequence[MergePolicy], subjects: Collection[UUID]
) -> None:
    if policies and subjects:
        ids = [policy.policy_id for policy in policies]
        await tx.execute(DELETE_PROFILES, scope.sandbox_id, ids, list(subjects))


def profile_row(
    config: Configuration, policy: MergePolicy, subject: UUID, fragments: Iterable[Fragment]
) -> tuple[Any, ...] | None:
    """Merge fragments into the row of a profile, without the sandbox; None if the policy uses none of them."""
    merged = Merged.of(fragments, policy.settings.attribute_merge, config.composites)
    if merged is None:
        return None
    return policy.policy_id, subject, merged.document, list(merged.sources), merged.modified_at


def _merged(
    config: Configuration,
    policy: MergePolicy,
    fragments: Mapping[UUID, Sequence[Fragment]],
    subject_and_xids: tuple[UUID, Sequence[UUID]],
) -> tuple[UUID, tuple[Any, ...] | None]:
    subject, xids = subject_and_xids
    return subject, profile_row(config, policy, subject, [f for xid in xids for f in fragments.get(xid, ())])


def subjects(policy: MergePolicy, people: Iterable[GraphChange | Graph]) -> Iterator[tuple[UUID, Sequence[UUID]]]:
    """List the subjects of a policy's profiles, each with the xids whose fragments are merged.

    A subject is a person, by profile id; under a policy without a graph, each identity of these people is a subject, by xid.
    """
    if policy.settings.identity_graph is IdentityGraphType.PDG:
        yield from ((person.profile_id, person.xids) for person in people)
    else:
        yield from ((xid, (xid,)) for person in people for xid in person.xids)
