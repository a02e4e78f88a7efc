"""`Effects` of each transaction say exactly what differs between reads before and after it, over generated histories."""

from contextlib import suppress
from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties.histories import VALUES, Step, by_examples, histories, identity_rules, lower_limits

from gateway.domain.operations.manual_links import link_identities, unlink_identities
from gateway.domain.rules.merge import canonical
from gateway.domain.views import pipeline
from gateway.domain.views.effects import ChangeKind, PersonChange
from gateway.domain.views.fragments import read_states
from gateway.errors import NotFound
from gateway.storage.queries import Query

IDENTITIES = [(namespace, value) for namespace, values in VALUES.items() for value in values]
WHOLE = {"personalEmail", "segmentMembership"}
"""Paths end here: at a composite value, and at a map."""


def _read(name, sql):
    return Query(f"test.{name}", sql, ("sandbox_id",), (), "rows", "For tests.")


PEOPLE = _read("people", "select profile_id, xids from gateway.graph where sandbox_id = $1")
DOCUMENTS = _read(
    "documents",
    "select profile_id, document::text from gateway.profile p join gateway.merge_policy m using (sandbox_id, policy_id)"
    " where m.is_default and sandbox_id = $1",
)
EVENTS = _read(
    "events",
    "select xid, dataset_id, event_id, batch_id, document::text from gateway.event where sandbox_id = $1 order by 1, 2, 3",
)
IDENTITIES_STORED = _read("identities", "select xid from gateway.identity where sandbox_id = $1")


@dataclass
class Told:
    """What reads tell of a sandbox: people with their members, default documents, records and events by xid."""

    people: dict = field(default_factory=dict)
    documents: dict = field(default_factory=dict)
    records: dict = field(default_factory=dict)
    events: dict = field(default_factory=dict)

    @classmethod
    async def read(cls, tx, scope):
        told = cls()
        for profile_id, xids in await tx.rows(PEOPLE, scope.sandbox_id):
            told.people[profile_id] = tuple(xids)
        for profile_id, document in await tx.rows(DOCUMENTS, scope.sandbox_id):
            told.documents[profile_id] = orjson.loads(document)
        stored = [row[0] for row in await tx.rows(IDENTITIES_STORED, scope.sandbox_id)]
        for key, state in (await read_states(tx, scope, stored)).items():
            if state.document is not None:
                told.records.setdefault(key[0], {})[key[1]] = (canonical(state.document), state.decided_at)
        for xid, *rest in await tx.rows(EVENTS, scope.sandbox_id):
            told.events.setdefault(xid, []).append(rest)
        return told

    def owners(self):
        return {xid: profile_id for profile_id, xids in self.people.items() for xid in xids}


def leaves(document, above=()):
    """List the leaves of a document with their paths; composite values and maps are leaves."""
    for key, value in document.items():
        if isinstance(value, dict) and key not in WHOLE:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), canonical(value)


def difference(before, after):
    """Say what happened between two reads, in the words of `Effects`, by comparing everything with everything."""
    owned_before, owned = before.owners(), after.owners()
    heirs = {person: {owned[x] for x in xids if x in owned} for person, xids in before.people.items()}
    changes = {p: PersonChange(ChangeKind.DELETED, p, before.people[p]) for p, to in heirs.items() if not to}
    for person, xids in after.people.items():
        former = {owned_before[xid] for xid in xids if xid in owned_before}
        members = before.people.get(person)
        is_same = members == xids and all(before.records.get(xid) == after.records.get(xid) for xid in xids)
        if not former:
            kind = ChangeKind.CREATED
        elif any(len(heirs[other]) == 1 for other in former - {person}):
            kind = ChangeKind.MERGED
        elif any(len(heirs[other]) > 1 for other in former):
            kind = ChangeKind.SPLIT
        elif not is_same:
            kind = ChangeKind.UPDATED
        else:
            continue
        others = tuple(sorted(former - {person})) if kind in (ChangeKind.MERGED, ChangeKind.SPLIT) else ()
        paths = None
        if members is not None:
            old, new = (dict(leaves(told.documents.get(person, {}))) for told in (before, after))
            paths = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
            paths |= {("identityMap",)} if members != xids else set()
        changes[person] = PersonChange(kind, person, xids, others, None if paths is None else tuple(sorted(paths)))
    of_people = {xid for change in changes.values() for xid in change.xids}
    events = {x for x in before.events.keys() | after.events.keys() if before.events.get(x) != after.events.get(x)}
    return changes, events - of_people


class Witness:
    """A view that compares the effects of each transaction with what reads told before it, and tell in it."""

    name, tables = "witness", ()

    def __init__(self):
        self.told, self.seen = Told(), 0

    async def refresh(self, change):
        before, self.told = self.told, await Told.read(change.tx, change.scope)
        people, event_xids = difference(before, self.told)
        assert change.effects.people == people
        assert change.effects.event_xids == event_xids
        self.seen += 1


@pytest.fixture
def witness(monkeypatch):
    """Hang a witness into the pipeline, as its last entry."""
    witness = Witness()
    monkeypatch.setattr(pipeline, "VIEWS", (*pipeline.VIEWS, witness))
    return witness


@dataclass(frozen=True)
class Story:
    """A history, with links by hand in its middle and at its end; then other settings, and a step that is undone."""

    history: list
    links: list
    rules: tuple
    undone: Step
    has_low_limits: bool


@st.composite
def stories(draw):
    history = draw(histories(vary=True, max_size=8))
    verbs = st.sampled_from([link_identities, unlink_identities])
    pairs = st.lists(st.sampled_from(IDENTITIES), min_size=2, max_size=2, unique=True)
    links = draw(st.lists(st.tuples(verbs, pairs), max_size=4))
    rules = draw(identity_rules()), draw(identity_rules())
    return Story(history, links, rules, draw(st.sampled_from(history)), draw(st.booleans()))


async def by_hand(replay, verb, pair):
    world = replay.world
    config, sandbox = await world.config(), world.scope.sandbox
    xids = [config.namespace(namespace).xid(sandbox, value) for namespace, value in pair]
    with suppress(NotFound):
        await verb(world.db, world.scope, world.configurations, *xids)


async def tell(replay, story):
    """Run everything that changes people."""
    middle = len(story.history) // 2
    await replay.run(story.history[:middle])
    for link in story.links[:2]:
        await by_hand(replay, *link)
    await replay.run(story.history[middle:])
    await replay.set_rules(story.rules[1])
    await replay.regroup()
    for link in story.links[2:]:
        await by_hand(replay, *link)
    await replay.undo(story.undone)


async def begin(witness, replay, rules):
    await replay.empty()
    await replay.set_rules(rules)
    witness.told = Told()


@by_examples
@given(story=stories())
async def test_effects_are_the_difference_of_what_is_read(witness, replay, story):
    await begin(witness, replay, story.rules[0])
    with pytest.MonkeyPatch.context() as patch:
        if story.has_low_limits:
            lower_limits(patch)
        await tell(replay, story)
    assert witness.seen


@by_examples
@given(history=histories(vary=True, max_size=8), rules=identity_rules())
async def test_effects_of_calls_committed_as_a_group_are_the_difference(witness, replay, history, rules):
    await begin(witness, replay, rules)
    await replay.run_at_once(history[:2], together=False)
    await replay.run_at_once(history[2:] + history[1:], together=True)
