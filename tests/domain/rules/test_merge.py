"""`merge`, `explain` and `changed_paths` against slow, obvious references, over generated facts."""

import copy
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.rules.merge import (
    AttributeMerge,
    AttributeMergeType,
    Fragment,
    MergeRule,
    canonical,
    changed_paths,
    explain,
    leaves,
    merge,
    participants,
)
from gateway.domain.rules.selectors import apply

anytime = settings(deadline=None)  # the machine may be busy
START = datetime(2026, 1, 1, tzinfo=UTC)
DATASETS = [UUID(int=n) for n in (7, 3, 9)]
NEWEST_WINS = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)

names = st.sampled_from(["a", "b", "c"])
plain = st.integers(-2, 2) | st.booleans() | st.text("xy", max_size=2) | st.lists(st.integers(0, 1), max_size=2)
documents = st.dictionaries(
    names, st.recursive(plain, lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=8), max_size=3
)
segments = st.dictionaries(
    names, st.dictionaries(names, st.dictionaries(names, plain, max_size=2), max_size=2), max_size=2
)
composites = st.recursive(
    st.dictionaries(names | st.just("*"), st.none(), max_size=2),
    lambda inner: st.dictionaries(names | st.just("*"), st.none() | inner, max_size=2),
    max_leaves=5,
)
selectors = st.dictionaries(names, st.none() | st.dictionaries(names, st.none(), min_size=1), min_size=1)
hours = st.integers(0, 3).map(lambda n: START + timedelta(hours=n))
rules = st.just(NEWEST_WINS) | st.lists(st.sampled_from(DATASETS), unique=True).map(
    lambda order: AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, tuple(order))
)


@st.composite
def whole_documents(draw):
    document = draw(documents)
    if draw(st.booleans()):
        document["identityMap"] = {"Email": [{"id": "ana@example.com"}]}
    if draw(st.booleans()):
        document["segmentMembership"] = draw(segments)
    return document


fragment_lists = st.lists(
    st.builds(
        Fragment,
        xid=st.integers(1, 3).map(lambda n: UUID(int=n)),
        dataset_id=st.sampled_from(DATASETS),
        batch_id=st.integers(1, 2).map(lambda n: UUID(int=n)),
        document=whole_documents(),
        ingested_at=hours,
        observed_at=st.none() | hours,
        ordinal=st.integers(0, 3),
    ),
    max_size=5,
    unique_by=lambda fragment: (fragment.xid, fragment.dataset_id),
)


def solid(value):
    """Without objects that hold no leaf; None if nothing stays."""
    if not isinstance(value, dict):
        return value
    kept = {key: inner for key, below in value.items() if (inner := solid(below)) is not None}
    return kept or None


def reducer(values, tree):
    """Ten lines that say what merging is: of the values at one place, best first, the first; objects key by key."""
    first = values[0]
    if not isinstance(first, dict) or tree is None:
        return first
    objects = [value for value in values if isinstance(value, dict)]
    return {
        key: reducer([o[key] for o in objects if key in o], tree[key] if key in tree else tree.get("*", {}))
        for key in {key for o in objects for key in o}
    }


def in_order(fragments, rule, *, by_dataset=True):
    precedence = rule.type is AttributeMergeType.DATASET_PRECEDENCE
    part = [f for f in fragments if not precedence or f.dataset_id in rule.order]
    return sorted(
        part,
        key=lambda f: (
            rule.order.index(f.dataset_id) if precedence and by_dataset else 0,
            START - f.at,
            START - f.ingested_at,
            -f.ordinal,
            f.dataset_id,
            f.xid,
        ),
    )


def reference(fragments, rule, tree):
    special = {"identityMap", "segmentMembership"}
    own = [solid({k: v for k, v in f.document.items() if k not in special}) or {} for f in in_order(fragments, rule)]
    newest = in_order(fragments, rule, by_dataset=False)
    memberships = [s for f in newest if (s := solid(f.document.get("segmentMembership", {})))]
    merged = reducer([*own, {}], tree)
    if memberships:
        merged["segmentMembership"] = reducer(memberships, {"*": {"*": None}})
    return merged


# ------------------------------------------------------------------------------------------------ fragments


@anytime
@given(fragment_lists, rules, composites)
def test_merge_is_the_ten_line_reducer(fragments, rule, tree):
    assert canonical(merge(fragments, rule, tree)) == canonical(reference(fragments, rule, tree))


@anytime
@given(fragment_lists, rules, composites, st.randoms(use_true_random=False))
def test_order_does_not_matter_not_even_to_the_bytes(fragments, rule, tree, chance):
    shuffled = chance.sample(fragments, len(fragments))
    assert json.dumps(merge(shuffled, rule, tree)) == json.dumps(merge(fragments, rule, tree))
    assert explain(shuffled, rule, tree) == explain(fragments, rule, tree)
    assert participants(shuffled, rule) == participants(fragments, rule) == in_order(fragments, rule)


@anytime
@given(fragment_lists, rules, composites)
def test_nothing_given_is_changed(fragments, rule, tree):
    before = copy.deepcopy((fragments, tree))
    merged = merge(fragments, rule, tree)
    explain(fragments, rule, tree)
    changed_paths(merged, {}, tree)
    assert (fragments, tree) == before


@anytime
@given(fragment_lists, rules, composites)
def test_a_merged_document_has_no_empty_object_and_merges_to_itself(fragments, rule, tree):
    merged = merge(fragments, rule, tree)
    assert merged == (solid(merged) or {})
    if fragments:
        alone = Fragment(UUID(int=1), DATASETS[0], UUID(int=1), merged, START, None, 0)
        assert canonical(merge([alone], NEWEST_WINS, tree)) == canonical(merged)


def test_one_clean_fragment_is_passed_on_without_a_copy():
    document = {"person": {"name": {"firstName": "Ana"}}}
    fragment = Fragment(UUID(int=1), DATASETS[0], UUID(int=1), document, START, None, 0)
    assert merge([fragment], NEWEST_WINS, {}) is document


def said(dataset, hour, document, *, observed=None, xid=1):
    observed_at = None if observed is None else START + timedelta(hours=observed)
    return Fragment(UUID(int=xid), dataset, UUID(int=1), document, START + timedelta(hours=hour), observed_at, 0)


def test_an_address_is_never_mixed_from_two_sources():
    old = said(DATASETS[0], 1, {"homeAddress": {"street1": "Elm 1", "city": "Bonn"}, "age": 7})
    new = said(DATASETS[1], 2, {"homeAddress": {"city": "Kiel"}})
    tree = {"homeAddress": None}
    assert merge([old, new], NEWEST_WINS, tree) == {"homeAddress": {"city": "Kiel"}, "age": 7}
    assert merge([old, new], NEWEST_WINS, {})["homeAddress"] == {"city": "Kiel", "street1": "Elm 1"}


def test_the_observed_time_replaces_the_time_of_ingestion():
    late = said(DATASETS[0], 9, {"v": "late news of old"}, observed=1)
    fresh = said(DATASETS[1], 2, {"v": "fresh"})
    assert merge([late, fresh], NEWEST_WINS, {}) == {"v": "fresh"}


def test_segments_are_a_union_and_the_newest_of_each_stays_whole():
    one = said(
        DATASETS[0], 1, {"segmentMembership": {"ups": {"vip": {"status": "realized", "at": 1}, "old": {"s": 1}}}}
    )
    two = said(DATASETS[1], 2, {"segmentMembership": {"ups": {"vip": {"status": "exited"}}}})
    by_dataset = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (DATASETS[0], DATASETS[1]))
    union = {"segmentMembership": {"ups": {"vip": {"status": "exited"}, "old": {"s": 1}}}}
    assert merge([one, two], NEWEST_WINS, {}) == merge([one, two], by_dataset, {}) == union


def test_unlisted_datasets_take_no_part():
    listed, unlisted = said(DATASETS[0], 1, {"a": 1}), said(DATASETS[1], 2, {"a": 2, "b": 2})
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (DATASETS[0],))
    assert merge([listed, unlisted], rule, {}) == {"a": 1}
    assert merge([unlisted], rule, {}) == merge([], rule, {}) == {}


def test_where_kinds_differ_the_better_one_holds():
    plain_one, objects = said(DATASETS[0], 1, {"a": 5}), said(DATASETS[1], 2, {"a": {"x": 1}})
    older = said(DATASETS[2], 0, {"a": {"y": 2}})
    assert merge([plain_one, objects, older], NEWEST_WINS, {}) == {"a": {"x": 1, "y": 2}}
    assert merge([plain_one, older], NEWEST_WINS, {}) == {"a": 5}


# ------------------------------------------------------------------------------------------------ why


@anytime
@given(fragment_lists, rules, composites)
def test_merge_is_the_projection_of_explain(fragments, rule, tree):
    projected = {}
    for provenance in explain(fragments, rule, tree):
        place = projected
        for key in provenance.path[:-1]:
            place = place.setdefault(key, {})
        place[provenance.path[-1]] = provenance.value
    assert canonical(projected) == canonical(merge(fragments, rule, tree))


def newest_first(candidate):
    return START - candidate.at, START - candidate.ingested_at, -candidate.ordinal, candidate.dataset_id, candidate.xid


@anytime
@given(fragment_lists, rules, composites)
def test_the_stated_rule_on_the_stated_candidates_gives_the_stated_value(fragments, rule, tree):
    for provenance in explain(fragments, rule, tree):
        everyone = [provenance.winner, *provenance.candidates] if provenance.winner else list(provenance.candidates)
        newest = [c for c in everyone if c.at == max(other.at for other in everyone)]
        if provenance.rule is MergeRule.ONLY_CANDIDATE:
            [chosen] = everyone
        elif provenance.rule is MergeRule.NEWEST:
            [chosen] = newest
        elif provenance.rule is MergeRule.DATASET_ORDER:
            first = min((c.dataset_id for c in everyone), key=rule.order.index)
            assert {c.dataset_id for c in everyone} > {first}
            chosen = min((c for c in everyone if c.dataset_id == first), key=newest_first)
        elif provenance.rule is MergeRule.TIE_BREAK:
            assert len(newest) > 1
            chosen = min(newest, key=newest_first)
        else:
            assert provenance.path[0] == "segmentMembership"
            assert provenance.winner is None
            chosen = min(everyone, key=newest_first)
        assert provenance.winner in (chosen, None)
        assert canonical(provenance.value) == canonical(chosen.value)


@anytime
@given(fragment_lists, rules, composites)
def test_candidates_are_the_fragments_that_have_the_leaf(fragments, rule, tree):
    def has(value, path):
        return (
            solid(value) is not None if not path else isinstance(value, dict) and has(value.get(path[0], {}), path[1:])
        )

    for provenance in explain(fragments, rule, tree):
        everyone = [provenance.winner, *provenance.candidates] if provenance.winner else provenance.candidates
        expected = in_order(fragments, rule, by_dataset=provenance.rule is not MergeRule.UNION)
        assert [(c.xid, c.dataset_id, c.at) for c in everyone] == [
            (f.xid, f.dataset_id, f.at) for f in expected if has(f.document, provenance.path)
        ]


@anytime
@given(fragment_lists, rules, composites, selectors)
def test_explain_of_a_selection_is_a_selection_of_explain(fragments, rule, tree, select):
    touched = leaves(apply(select, merge(fragments, rule, tree)), tree)
    everything = explain(fragments, rule, tree)
    chosen = explain(fragments, rule, tree, select)
    assert sorted(chosen, key=lambda p: p.path) == sorted(
        (p for p in everything if p.path in touched), key=lambda p: p.path
    )


@pytest.mark.parametrize(
    ("order", "facts", "expected"),
    [
        ((), [(0, 1)], MergeRule.ONLY_CANDIDATE),
        ((), [(0, 1), (1, 2)], MergeRule.NEWEST),
        ((), [(0, 1), (1, 1)], MergeRule.TIE_BREAK),
        ((0, 1), [(0, 1), (1, 2)], MergeRule.DATASET_ORDER),
        ((0, 1), [(0, 1), (0, 2)], MergeRule.NEWEST),
        ((0, 1), [(0, 1), (0, 1)], MergeRule.TIE_BREAK),
        ((0, 1), [(0, 1), (0, 2), (1, 3)], MergeRule.DATASET_ORDER),
    ],
)
def test_the_rule_says_what_decided(order, facts, expected):
    fragments = [said(DATASETS[d], hour, {"a": n}, xid=n + 1) for n, (d, hour) in enumerate(facts)]
    rule = (
        AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, tuple(DATASETS[d] for d in order))
        if order
        else NEWEST_WINS
    )
    [provenance] = explain(fragments, rule, {})
    assert provenance.rule is expected


# ------------------------------------------------------------------------------------------------ equality


@anytime
@given(documents, documents, composites)
def test_changed_paths_are_the_leaves_that_differ(before, after, tree):
    old, new = leaves(before, tree), leaves(after, tree)
    differ = {p for p in old.keys() | new.keys() if (p in old) != (p in new) or canonical(old[p]) != canonical(new[p])}
    assert changed_paths(before, after, tree) == sorted(differ) == changed_paths(after, before, tree)
    assert changed_paths(before, copy.deepcopy(before), tree) == []


@anytime
@given(documents, composites)
def test_a_document_comes_and_goes_with_all_its_leaves(document, tree):
    everything = sorted(leaves(document, tree))
    assert changed_paths(None, document, tree) == changed_paths(document, None, tree) == everything


@given(st.one_of(plain, st.sampled_from([0.0, -0.0, 1.0, 2.5])), st.one_of(plain, st.sampled_from([0.0, 1.0, 2.5])))
def test_a_leaf_changes_when_its_canonical_text_does(before, after):
    changed = [] if canonical(before) == canonical(after) else [("a",)]
    assert changed_paths({"a": before}, {"a": after}, {}) == changed


def test_an_object_without_leaves_is_no_leaf_even_where_it_would_be_whole():
    assert leaves({"homeAddress": {"geo": {}}, "a": {"b": {}}, "tags": []}, {"homeAddress": None}) == {("tags",): []}


def test_true_is_not_one_and_a_segment_is_a_leaf():
    assert changed_paths({"a": True, "b": [True]}, {"a": 1, "b": [1]}, {}) == [("a",), ("b",)]
    before = {"segmentMembership": {"ups": {"vip": {"status": "realized"}}}}
    after = {"segmentMembership": {"ups": {"vip": {"status": "exited"}}}}
    assert changed_paths(before, after, {}) == [("segmentMembership", "ups", "vip")]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1))
def test_a_number_is_its_value_however_it_is_written(number):
    """As `jsonb` writes it: plain digits, no exponent, no sign on zero."""
    written = f"{Decimal(repr(number)):f}".removeprefix("-" if number == 0 else "")
    assert canonical({"n": orjson.loads(written)}) == canonical({"n": number})


@given(documents)
def test_canonical_text_ignores_the_order_of_keys_and_nothing_else(document):
    turned = dict(reversed(document.items()))
    assert canonical(turned) == canonical(document)
    assert json.dumps(orjson.loads(canonical(document)), sort_keys=True) == json.dumps(document, sort_keys=True)


def test_strings_that_look_like_numbers_stay():
    document = {"version": "1.0", "code": "1e5", "n": 1.0, "zero": -0.0, "half": 0.5}
    assert canonical(document) == b'{"code":"1e5","half":0.5,"n":1,"version":"1.0","zero":0}'
