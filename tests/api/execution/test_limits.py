"""Limits of an operation: every one is at its edge allowed, beyond it refused, and named in the answer."""

import pytest
from graphql import get_introspection_query, parse

from gateway.api.execution.limits import Limits, measure
from gateway.errors import LimitExceeded

LIMITS = Limits(depth=3, introspection_depth=5, aliases=2, directives=2)


def refused(text):
    with pytest.raises(LimitExceeded) as caught:
        measure(parse(text), LIMITS)
    return caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "{ a { b { c } } }",
        "{ a { ... on A { ... { b { c } } } } }",
        "query A { x: a y: b } query B { x: a y: b }",
        "{ a @include(if: true) b @skip(if: false) }",
        "{ ...F } fragment F on Q { a { ...G } } fragment G on A { b { c } }",
        "{ __schema { types { fields { type { name } } } } }",
        "{ a { __typename ...F } } fragment F on A { b { __typename } }",
    ],
)
def test_what_keeps_to_the_limits_passes(text):
    measure(parse(text), LIMITS)


def test_fields_go_only_so_deep_fragments_included():
    for text in (
        "{ a { b { c { d } } } }",
        "{ a { ...F } } fragment F on A { b { c { d } } }",
        "query Fine { a } query Deep { a { b { c { d } } } }",
    ):
        assert refused(text) == "The operation goes 4 fields deep; at most 3 are allowed."


def test_aliases_count_wherever_a_fragment_is_spread():
    assert refused("{ x: a y: a z: a }") == "The operation has 3 aliases; at most 2 are allowed."
    assert refused("{ a { ...F } b { ...F } c { ...F } } fragment F on A { x: y }").startswith(
        "The operation has 3 aliases"
    )


def test_directives_count_by_what_is_written():
    assert refused("{ a @x @x @x }") == "The document has 3 directives; at most 2 are allowed."


def test_introspection_has_its_own_limit_of_depth_and_shares_that_of_aliases():
    assert refused("{ a __schema { types { fields { type { ofType { name } } } } } }").startswith(
        "The operation goes 6 fields"
    )
    assert refused("{ __schema { x: types { name } y: types { name } z: types { name } } }").startswith(
        "The operation has 3 aliases"
    )
    assert refused(
        "{ ...F } fragment F on Q { __schema { ...G } } fragment G on S { types { fields { args { type { name } } } } }"
    ).startswith("The operation goes 6")


def test_fragments_that_spread_each_other_are_measured_no_further_than_the_limit():
    bomb = "{ ...F0 } " + " ".join(f"fragment F{n} on Q {{ a: a ...F{n + 1} ...F{n + 1} }}" for n in range(40))
    assert "selects more than 3,000 fields and fragments" in refused(bomb + " fragment F40 on Q { a: a }")
    wide = " ".join(f"fragment F{n} on Q {{ {' '.join(f'...F{m}' for m in range(40) if m != n)} }}" for n in range(40))
    assert refused("{ ...F0 } " + wide)


@pytest.mark.parametrize(
    "text",
    [
        "{ " + "a { b } " * 142 + "}",
        "{ a { " + "b " * 142 + "} }",
        "{ " + "a { b } " * 71 + "... { " + "a { b } " * 71 + "} }",
        "{ " + "...F " * 142 + "} fragment F on Q { a }",
        "{ ...F ...G } fragment F on Q { " + "a { b } " * 71 + "} fragment G on Q { " + "a { b } " * 71 + "}",
        "{ a } fragment Unused on Q { " + "a { b } " * 142 + "}",
        " ".join(f"query Q{n} {{ ...F }}" for n in range(50)) + " fragment F on Q { " + "a { b } " * 16 + "}",
    ],
)
def test_fields_under_one_key_are_only_so_many_however_they_are_written(text):
    assert "more than 10,000 pairs would have to be compared" in refused(text)


def test_a_document_has_only_so_many_operations_and_fragments():
    text = " ".join(f"query Q{n} {{ a }}" for n in range(100))
    measure(parse(text), LIMITS)
    assert refused(f"{text} query More {{ a }}").startswith(
        "The document has 101 operations and fragments; at most 100"
    )


def test_what_a_document_weighs_grows_with_what_is_written_and_selected():
    small, large = (
        measure(parse("{ ...F } fragment F on Q { a }"), LIMITS),
        measure(parse("{ ...F ...F } fragment F on Q { a }"), LIMITS),
    )
    assert small.selections == 2
    assert large.selections == 4
    assert small.nodes < large.nodes < small.nodes + 5


def test_what_tools_ask_of_a_schema_keeps_to_the_limits():
    measure(
        parse(
            get_introspection_query(
                descriptions=True,
                specified_by_url=True,
                directive_is_repeatable=True,
                schema_description=True,
                input_value_deprecation=True,
            )
        ),
        Limits(),
    )


def test_a_fragment_that_spreads_itself_is_left_to_validation():
    measure(parse("{ ...F } fragment F on Q { a ...F }"), LIMITS)
    measure(parse("{ ...F } fragment F on Q { a { ...G } } fragment G on A { b { ...F } }"), LIMITS)


def test_the_longest_body_holds_a_document_and_variables():
    assert Limits().body_bytes == Limits().document_bytes + Limits().variables_bytes
