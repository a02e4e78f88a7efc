"""`fold` against a slow, obvious replay, over generated histories."""

import copy
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.rules.merge import canonical
from gateway.domain.rules.versions import Mode, Version, VersionOrder, fold

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
