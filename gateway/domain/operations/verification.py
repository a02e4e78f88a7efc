"""Verification: every view is rebuilt from the facts and compared with the stored one. Nothing is written.

Facts are read in one snapshot, component by component, so writers go on. It finds every pointer, graph, retraction of a tie, fragment and
merged profile that differs from what the facts make, is missing, or is stored though the facts do not make it; and events that are
stored twice.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import orjson

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.datasets import Dataset
from gateway.domain.config.namespaces import STANDARD
from gateway.domain.config.policies import PolicyStatus
from gateway.domain.facts.documents import last_updated
from gateway.domain.ingest.resends import FIND_EVENTS
from gateway.domain.ingest.validation import Reader
from gateway.domain.rules.merge import canonical
from gateway.domain.rules.normalization import NEWEST, RULES
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.rules.versions import RecordKey, RecordStates, Version, VersionOrder, fold, last_deletion
from gateway.domain.views.fragments import fragments_by_xid, read_states, read_versions
from gateway.domain.views.graph_component import Component, read_component
from gateway.domain.views.graph_rebuild import NAMED_BY_FACTS, Grouping, group_component
from gateway.domain.views.graph_union import graph_row
from gateway.domain.views.profiles import profile_row, subjects
from gateway.domain.work import jobs
from gateway.domain.work.job_kinds import JobKind
from gateway.storage.database import Database, Session
from gateway.storage.queries import Query, query
from gateway.xdm.classes import XdmClass

LIST_IDENTITIES = query("verification.list_identities")
LIST_VALUES = query("verification.list_values")
READ_RECORDS = query("verification.read_records")
READ_GRAPHS = query("verification.read_graphs")
READ_PROFILES = query("verification.read_profiles")
READ_TIES = query("verification.read_ties")
LIST_DUPLICATE_EVENTS = query("verification.list_duplicate_events")
LIST_STRAY_RESENDS = query("verification.list_stray_resends")
LIST_GRAPHS = query("verification.list_graphs")
LIST_FRAGMENTS = query("verification.list_fragments")
LIST_PROFILES = query("verification.list_profiles")
FIND_STRAY_POLICY = query("verification.find_stray_policy")

IDENTITIES_PER_READ = 1000
NIL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of a view that differs from what the facts make. `key` is its key without the sandbox, and no personal data."""

    table: str
    key: str
    message: str


@dataclass(slots=True)
class _Expected:
    """The keys of all views that the facts make, as far as they were rebuilt."""

    identities: set[UUID] = field(default_factory=set)
    graphs: set[UUID] = field(default_factory=set)
    fragments: set[RecordKey] = field(default_factory=set)
    profiles: dict[UUID, set[UUID]] = field(default_factory=dict)


async def verify(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    sample: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Difference]:
    """List the differences between the sandbox's views and its facts, for all identities or for about `sample` of them.

    Rows of views that no fact makes are looked for only without `sample`. If a row of the configuration cannot be used, list only such
    rows. `progress` is called with the number of identities compared so far. Profiles of a policy that is being built are skipped.
    After a change of the identity settings people are listed until the job has regrouped them. Needs `admin`. Raises Forbidden.
    """
    scope.require(Permission.ADMIN)
    async with configurations.snapshot(db, scope) as (tx, config):
        if config.broken:  # views cannot be rebuilt by what is broken
            return [
                Difference(row.table, str(row.key), f"{row.name!r} cannot be used: {row.fault}")
                for row in config.broken
            ]
        check = _Check(tx, scope, config)
        after = NIL if sample is None else uuid4()  # xids are hashes: those after any value are a fair sample
        while sample is None or len(check.expected.identities) < sample:
            rows = await tx.rows(LIST_IDENTITIES, scope.sandbox_id, after, IDENTITIES_PER_READ)
            if not rows:
                break
            after = rows[-1]["xid"]
            await check.compare_components({row["xid"] for row in rows} - check.expected.identities)
            progress(len(check.expected.identities))
        if sample is None:
            await check.compare_keys()
        return check.differences


async def count_other_spellings(db: Database, scope: Scope, configurations: Configurations) -> int:
    """Count the identities that the newest text rules would normalize to another value, or take for placeholders.

    They stay as they are: a sandbox keeps the text rules that it was made with. Needs `admin`. Raises Forbidden.
    """
    scope.require(Permission.ADMIN)
    if scope.sandbox.text_rules == NEWEST:
        return 0
    config, rules, count, after = await configurations.read(db, scope), RULES[NEWEST], 0, NIL
    today = {namespace.namespace_id: namespace.normalization for namespace in (*config.namespaces.values(), *STANDARD)}
    while rows := await db.rows(LIST_VALUES, scope.sandbox_id, after, IDENTITIES_PER_READ):
        after = rows[-1]["xid"]
        for _, namespace_id, value in rows:
            count += rules.is_placeholder(value) or rules.forms[today[namespace_id]](value) != value
    return count


class _Check:
    """One run of `verify`: the keys of the views rebuilt so far, and the differences found."""

    def __init__(self, tx: Session, scope: Scope, config: Configuration) -> None:
        self._tx, self._scope, self._config = tx, scope, config
        self._policies = [p for p in config.materialized if p.status is PolicyStatus.ACTIVE]
        self.expected = _Expected(profiles={policy.policy_id: set() for policy in self._policies})
        self.differences: list[Difference] = []

    def _differs(self, table: str, key: Any, message: str) -> None:
        self.differences.append(Difference(table, str(key), message))

    async def compare_components(self, seeds: set[UUID]) -> None:
        """Compare all views of these identities and of their components."""
        component = await read_component(self._tx, self._scope, self._config, seeds, recount=True)
        members = list(component.degree_limits.keys() - self.expected.identities)
        self.expected.identities |= component.degree_limits.keys()
        grouping = group_component(self._config, component)
        self._compare_pointers(component, grouping)
        await self._compare_names(grouping)
        await self._compare_graphs(component, grouping)
        states = await self._compare_records(members)
        await self._compare_profiles(component, grouping, states)
        await self._compare_events(members, list(component.members))

    # -------------------------------------------------------------------------------------------- people

    def _compare_pointers(self, component: Component, grouping: Grouping) -> None:
        owner = {xid: graph.profile_id for graph in grouping.people for xid in graph.xids}
        for xid, pointer in component.pointers.items():
            if pointer != owner.get(xid):
                self._differs("identity", xid, f"points to {pointer}; its person is {owner.get(xid)}")
        for xid, degree_limit in component.degree_limits.items():
            if degree_limit != component.stored_degree_limits[xid]:
                self._differs(
                    "identity",
                    xid,
                    f"degree_limit is {component.stored_degree_limits[xid]}; the facts make {degree_limit}",
                )

    async def _compare_names(self, grouping: Grouping) -> None:
        unowned = list(grouping.unowned)
        rows = await self._tx.rows(NAMED_BY_FACTS, self._scope.sandbox_id, unowned) if unowned else []
        for xid in grouping.unowned - {row["xid"] for row in rows}:
            self._differs("identity", xid, "no fact names it")

    async def _compare_graphs(self, component: Component, grouping: Grouping) -> None:
        wanted = {graph.profile_id: graph for graph in grouping.people}
        self.expected.graphs |= wanted.keys()
        keys = list(wanted.keys() | component.degree_limits.keys())
        stored = {row["profile_id"]: row for row in await self._tx.rows(READ_GRAPHS, self._scope.sandbox_id, keys)}
        for profile_id in stored.keys() - wanted.keys():
            self._differs("graph", profile_id, "nobody is this person")
        for profile_id, graph in wanted.items():
            row = graph_row(profile_id, graph.xids, component.members, contested=graph.contested, size=graph.size)
            if profile_id not in stored:
                self._differs("graph", profile_id, "is missing")
            elif tuple(stored[profile_id]) != row:
                fields = [
                    name
                    for name, a, b in zip(stored[profile_id].keys(), stored[profile_id], row, strict=True)
                    if a != b
                ]
                self._differs("graph", profile_id, f"differs in {', '.join(fields)}")

    # -------------------------------------------------------------------------------------------- records

    async def _compare_records(self, xids: Sequence[UUID]) -> RecordStates:
        """Compare fragments with the fold of their versions, and ties of records. Return the folded states."""
        rows = await self._tx.rows(READ_RECORDS, self._scope.sandbox_id, xids)
        versions = await read_versions(self._tx, self._scope, [(row["xid"], row["dataset_id"]) for row in rows])
        wanted = {key: state for key, sent in versions.items() if (state := fold(sent)) is not None}
        stored = await read_states(self._tx, self._scope, xids)
        self.expected.fragments |= wanted.keys()
        for key in stored.keys() | wanted.keys():
            if key not in stored or key not in wanted:
                self._differs("fragment", key, "is missing" if key in wanted else "has no version")
            elif stored[key] != wanted[key] or canonical(stored[key].document) != canonical(wanted[key].document):
                self._differs("fragment", key, "is not the fold of its versions")
        await self._compare_ties(xids, versions)
        return wanted

    async def _compare_ties(self, xids: Sequence[UUID], versions: Mapping[RecordKey, Sequence[Version]]) -> None:
        """Compare the times of ties that records made, and whether a later deletion retracted them."""
        records = {d.dataset_id for d in self._config.datasets.values() if self._holds_records(d)}
        for tie in await self._tx.rows(READ_TIES, self._scope.sandbox_id, xids):
            if tie["origin"] != tie["xid"] or tie["dataset_id"] not in records:
                continue
            sent = versions.get((tie["origin"], tie["dataset_id"]), ())
            deletion = last_deletion(sent)
            is_retracted = _is_retracted(VersionOrder(tie["ingested_at"], tie["batch_id"], tie["ordinal"]), deletion)
            if tie["is_retracted"] != is_retracted:
                self._differs("tie", tie["tie_id"], f"is_retracted is {tie['is_retracted']}")
            said = [
                _tied_at(version)
                for version in sent
                if version.place.batch_id == tie["batch_id"] and _is_retracted(version.place, deletion) == is_retracted
            ]
            if tie["first_at"] not in said or tie["last_at"] not in said:
                self._differs("tie", tie["tie_id"], "no version of its batch says so at its time")

    def _holds_records(self, dataset: Dataset) -> bool:
        return self._config.schemas[dataset.schema_id].xdm_class is XdmClass.INDIVIDUAL_PROFILE

    # -------------------------------------------------------------------------------------------- events

    async def _compare_events(self, xids: Collection[UUID], component: Sequence[UUID]) -> None:
        """Find events of `xids` that are stored under another identity of the component, too, and resends of no stored event."""
        for duplicates in await self._tx.rows(LIST_DUPLICATE_EVENTS, self._scope.sandbox_id, component):
            for xid, first in await self._duplicates(*duplicates):
                if xid in xids:
                    self._differs(
                        "event",
                        (xid, duplicates["dataset_id"], duplicates["event_id"]),
                        f"repeats the event of {first}",
                    )
        for stray in await self._tx.rows(LIST_STRAY_RESENDS, self._scope.sandbox_id, list(xids)):
            self._differs("event_resend", tuple(stray), "repeats no event that it names")

    async def _duplicates(self, dataset_id: UUID, event_id: str, xids: Sequence[UUID]) -> list[tuple[UUID, UUID]]:
        """List pairs of identities with an event of this `_id`, where the event of the first names the second, which had it earlier."""
        keys = list(xids), [event_id] * len(xids)
        rows = await self._tx.rows(FIND_EVENTS, self._scope.sandbox_id, dataset_id, *keys)
        reader = Reader(self._config, self._scope.sandbox, self._config.dataset(dataset_id))
        named = {row["xid"]: reader.named(orjson.loads(row["document"])) for row in rows}
        return [
            (xid, first)
            for place, xid in enumerate(xids)
            for first in named[xid].intersection(xids[:place])
            if await self._did_name(dataset_id, xid, first)
        ]

    async def _did_name(self, dataset_id: UUID, origin: UUID, xid: UUID) -> bool:
        """Tell whether an event of `origin` named `xid` when it was ingested: the schema may have more descriptors now."""
        ties = await self._tx.rows(READ_TIES, self._scope.sandbox_id, [xid])
        return any((tie["origin"], tie["dataset_id"]) == (origin, dataset_id) for tie in ties)

    # -------------------------------------------------------------------------------------------- profiles

    async def _compare_profiles(self, component: Component, grouping: Grouping, states: RecordStates) -> None:
        fragments = fragments_by_xid(states)
        ids = [policy.policy_id for policy in self._policies]
        rows = await self._tx.rows(READ_PROFILES, self._scope.sandbox_id, ids, list(component.degree_limits))
        stored = {(row["policy_id"], row["profile_id"]): row for row in rows}
        for policy in self._policies:
            for subject, xids in subjects(policy, grouping.people):
                given = [fragment for xid in xids for fragment in fragments.get(xid, ())]
                wanted = profile_row(self._config, policy, subject, given)
                self._compare_profile(
                    (policy.policy_id, subject), stored.pop((policy.policy_id, subject), None), wanted
                )
        for key in stored:
            self._differs("profile", key, "nobody is this person")

    def _compare_profile(self, key: tuple[UUID, UUID], stored: Any, wanted: tuple[Any, ...] | None) -> None:
        if wanted is not None:
            self.expected.profiles[key[0]].add(key[1])
        if stored is None or wanted is None:
            if stored is not wanted:
                self._differs("profile", key, "is missing" if stored is None else "has no fragment that takes part")
        elif not _same_profile(stored, wanted):
            self._differs("profile", key, "is not what its fragments merge to")

    # -------------------------------------------------------------------------------------------- keys of all views

    async def compare_keys(self) -> None:
        """Report the rows of views whose keys were not rebuilt."""
        for row in await self._all(LIST_GRAPHS, NIL):
            if row[0] not in self.expected.graphs:
                self._differs("graph", row[0], "nobody is this person")
        others = [
            key
            for row in await self._all(LIST_FRAGMENTS, NIL, NIL)
            if (key := tuple(row)) not in self.expected.fragments
        ]
        for start in range(0, len(others), IDENTITIES_PER_READ):
            await self._compare_deleted(others[start : start + IDENTITIES_PER_READ])
        for policy in self._policies:
            for row in await self._all(LIST_PROFILES, NIL, fixed=(policy.policy_id,)):
                if row[0] not in self.expected.profiles[policy.policy_id]:
                    self._differs("profile", (policy.policy_id, row[0]), "nobody is this person")
        kept = [policy.policy_id for policy in self._config.materialized]
        stray = await self._tx.value(FIND_STRAY_POLICY, self._scope.sandbox_id, kept)
        if stray and not await jobs.is_open(self._tx, self._scope, JobKind.MATERIALIZE_POLICY, stray):
            self._differs("profile", stray, "is kept by a policy that keeps nothing, and no job is to forget it")

    async def _compare_deleted(self, keys: Sequence[RecordKey]) -> None:
        """Compare fragments without an identity: only records that were deleted before they existed may have one."""
        versions = await read_versions(self._tx, self._scope, keys)
        states = {key: fold(sent) for key, sent in versions.items()}
        deleted = {key: state for key, state in states.items() if state is not None and state.document is None}
        stored = await read_states(self._tx, self._scope, {xid for xid, _ in deleted})
        for key in keys:
            if key not in deleted:
                self._differs("fragment", key, "has no identity")
            elif stored[key] != deleted[key]:
                self._differs("fragment", key, "is not the fold of its versions")

    async def _all(self, statement: Query, *after: UUID, fixed: tuple[UUID, ...] = ()) -> list[Any]:
        found: list[Any] = []
        while rows := await self._tx.rows(statement, self._scope.sandbox_id, *fixed, *after, 10 * IDENTITIES_PER_READ):
            found += rows
            after = tuple(rows[-1])
        return found


def _same_profile(stored: Any, wanted: tuple[Any, ...]) -> bool:
    _, _, document, sources, modified_at = wanted
    same: bool = stored["sources"] == sources and stored["modified_at"] == modified_at
    return same and canonical(orjson.loads(stored["document"])) == canonical(orjson.loads(document))


def _is_retracted(place: VersionOrder, deletion: VersionOrder | None) -> bool:
    return deletion is not None and place < deletion


def _tied_at(version: Version) -> datetime:
    """Return the time of the tie that a record's version makes."""
    came = version.place.ingested_at
    return min(last_updated(version.input) or came, came)
