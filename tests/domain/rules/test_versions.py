"""States of records against a slow, obvious replay, over generated histories."""

import copy
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import takewhile
from uuid import UUID

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.rules.merge import canonical
from gateway.domain.rules.versions import (
    Mode,
    UnreadVersion,
    Version,
    VersionOrder,
    last_deletion,
    next_state,
    since_deletion,
    superseded,
)

anytime = settings(deadline=None)  # the machine may be busy
START = datetime(2026, 1, 1, tzinfo=UTC)

names = st.sampled_from(["a", "b", "c"])
plain = st.integers(-2, 2) | st.booleans() | st.text("xy", max_size=2) | st.lists(st.integers(0, 1), max_size=2)
inputs = st.dictionaries(names, st.recursive(plain | st.none(), lambda inner: st.dictionaries(names, inner)))
histories = st.lists(
    st.builds(
        Version,
        mode=st.sampled_from(Mode),
        input=inputs,
        place=st.builds(
            VersionOrder,
            ingested_at=st.integers(0, 3).map(lambda n: START + timedelta(hours=n)),
            batch_id=st.integers(1, 2).map(lambda n: UUID(int=n)),
            ordinal=st.integers(0, 9),
        ),
    ),
    max_size=6,
    unique_by=lambda version: version.place,
)


def fold(versions):
    """The state after these versions, in whatever order they are given."""
    return reduce(next_state, sorted(versions, key=lambda version: version.place), None)


def patched(target, patch):
    """RFC 7396, section 2, as it stands there."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    result = copy.deepcopy(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = patched(result.get(name), value)
    return result


def replayed(versions):
    """The document after each version, in the order of versions."""
    document = None
    for version in sorted(versions, key=lambda v: (v.place.ingested_at, v.place.batch_id, v.place.ordinal)):
        document = {
            Mode.REPLACE: version.input,
            Mode.DELETE: None,
            Mode.MERGE: patched(document, version.input),
        }[version.mode]
        yield version, document


@anytime
@given(histories, st.randoms(use_true_random=False))
def test_fold_applies_the_versions_in_their_order(versions, chance):
    before = copy.deepcopy(versions)
    state = fold(chance.sample(versions, len(versions)))
    steps = list(replayed(versions))
    assert (state.document if state else None) == (steps[-1][1] if steps else None)
    assert (state.head if state else None) == (steps[-1][0].place if steps else None)
    assert versions == before


@anytime
@given(histories)
def test_a_record_is_folded_from_its_newest_deletion_on(versions):
    state, rest = since_deletion(UnreadVersion(each.mode, each.place, 0) for each in versions)
    said = {each.place: each for each in versions}
    assert reduce(next_state, [said[each.place] for each in rest], state) == fold(versions)
    assert all(each.mode is not Mode.DELETE for each in rest)


@anytime
@given(histories)
def test_decided_at_is_the_position_of_the_last_version_that_changed_the_document(versions):
    decided, last = None, ...
    for version, document in replayed(versions):
        if last is ... or canonical(document) != canonical(last):
            decided, last = version.place, document
    state = fold(versions)
    assert (state.decided_at if state else None) == decided


def sent(*steps):
    return fold(Version(mode, given, VersionOrder(START, UUID(int=1), n)) for n, (mode, given) in enumerate(steps))


def test_each_mode_leaves_its_document():
    assert sent() is None
    assert sent((Mode.MERGE, {"a": {"b": 1, "c": None}})).document == {"a": {"b": 1}}
    assert sent((Mode.REPLACE, {"a": 1}), (Mode.MERGE, {"a": None})).document == {}
    assert sent((Mode.REPLACE, {"a": 1}), (Mode.DELETE, {})).document is None
    assert sent((Mode.REPLACE, {"a": 1}), (Mode.DELETE, {}), (Mode.MERGE, {"b": 2})).document == {"b": 2}


def test_to_send_again_what_is_known_changes_nothing():
    first, again, other = (Mode.REPLACE, {"a": 1}), (Mode.REPLACE, {"a": 1.0}), (Mode.REPLACE, {"a": True})
    assert sent(first, again).decided_at.ordinal == 0
    assert sent(first, again).head.ordinal == 1
    assert sent(first, other).decided_at.ordinal == 1


def retracted(places, versions):
    """The positions of ties that the versions' deletions retract, of ties that documents at these positions made."""
    deletion = last_deletion(versions)
    return {place for place in places if deletion is not None and place < deletion}


def seen(versions, stood_for):
    """The least and the greatest ordinal, for the time of a source, of versions that no later deletion covers, and of all, with those that they stand for."""
    deletion = last_deletion(versions)
    times = [(v, place) for v in versions for place in (v.place, *stood_for.get(v.place, ()))]
    live = [place.ordinal for v, place in times if deletion is None or v.place > deletion]
    ever = [place.ordinal for _, place in times]
    return [(min(each), max(each)) if each else None for each in (live, ever)]


def equal_ones(*modes_and_ordinals):
    """Versions of a batch, one each hour, which all say the same."""
    return [
        Version(mode, {"a": 1}, VersionOrder(START + timedelta(hours=hour), UUID(int=1), ordinal))
        for hour, (mode, ordinal) in enumerate(modes_and_ordinals)
    ]


def gone_of(history, batches, stand_ins=()):
    """The superseded versions of a history in which these batches are settled, also if the first ones are looked at alone, then what is left of all."""
    settled = list(takewhile(lambda v: v.place.batch_id in batches, sorted(history, key=lambda v: v.place)))
    decided, state = {}, None
    for version in settled:
        state = next_state(state, version)
        decided[version.place] = state.decided_at
    deletion = last_deletion(settled)
    known = {place: at for place, at in decided.items() if deletion is None or place >= deletion}
    unread = [UnreadVersion(v.mode, v.place, 0) for v in settled]
    return superseded(unread, known, has_stand_in=any(v.mode is Mode.DELETE and v.place in stand_ins for v in settled))


def gone_in_parts(history, batches, size):
    """As `gone_of`, where the first so many versions are looked at alone, then what is left of all."""
    first = gone_of(sorted(history, key=lambda v: v.place)[:size], batches)
    rest = gone_of([v for v in history if v.place not in first], batches, set(first.values()))
    return {place: rest.get(heir, heir) for place, heir in first.items()} | rest


@anytime
@example(equal_ones((Mode.DELETE, 5), (Mode.MERGE, 4), (Mode.MERGE, 9), (Mode.MERGE, 3)), {1}, set(), 0)
@example(equal_ones((Mode.REPLACE, 5), *[(Mode.DELETE, n) for n in (4, 3, 9, 2)]), {1}, set(), 3)
@example(equal_ones(*[(Mode.DELETE, n) for n in (4, 3, 9, 2)], (Mode.REPLACE, 5)), {1}, set(), 2)
@given(histories, st.sets(st.integers(1, 2)), st.sets(st.integers(0, 9)), st.integers(0, 6))
def test_superseded_versions_are_missed_by_nothing_whatever_else_goes(history, settled, reverted, size):
    """State, retracted ties and sightings are the same with and without them, also once versions of batches that are not settled are gone."""
    settled = {UUID(int=n) for n in settled}
    gone = gone_in_parts(history, settled, size)
    left = [v for v in history if v.place not in gone]
    stood_for = {}
    for place, heir in gone.items():
        stood_for.setdefault(heir, []).append(place)
    assert stood_for.keys() <= {v.place for v in left}
    places = [v.place for v in history if v.mode is not Mode.DELETE]
    for numbers in (set(), reverted):
        whole, rest = (
            [v for v in some if v.place.batch_id in settled or v.place.ordinal not in numbers]
            for some in (history, left)
        )
        assert fold(whole) == fold(rest)
        assert retracted(places, whole) == retracted(places, rest)
        assert seen(whole, {}) == seen(rest, stood_for)
    deletions = [v for v in left if v.mode is Mode.DELETE and v.place in stood_for]
    assert all(any(h.mode is not Mode.DELETE and h.place < v.place for h in history) for v in deletions)


@anytime
@example(equal_ones((Mode.REPLACE, 0), *[(Mode.DELETE, n) for n in range(1, 9)]))
@given(histories)
def test_of_versions_that_are_all_settled_few_are_left(history):
    both = {UUID(int=1), UUID(int=2)}
    gone = gone_of(history, both)
    left = [v for v in history if v.place not in gone]
    after_reset = [v for v in left if v.mode is not Mode.MERGE]
    assert len([v for v in after_reset if v.mode is Mode.REPLACE]) <= 2
    deletion = last_deletion(history)
    if any(deletion is not None and v.place < deletion and v.mode is not Mode.DELETE for v in history):
        assert len([v for v in left if v.mode is Mode.DELETE]) <= 2
    assert gone_of(left, both, set(gone.values())) == {}
