"""Limits of an operation: every one is at its edge allowed, beyond it refused, and named in the answer."""

import pytest
from graphql import parse

from gateway.api.execution.limits import Limits, check
from gateway.errors import LimitExceeded

LIMITS = Limits(depth=3, aliases=2, directives=2)


def refused(text):
    with pytest.raises(LimitExceeded) as caught:
        check(parse(text), LIMITS)
    return caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "{ a { b { c } } }",
        "{ a { ... on A { ... { b { c } } } } }",
        "query A { x: a y: b } query B { x: a y: b }",
        "{ a @include(if: true) b @skip(if: false) }",
        "{ ...F } fragment F on Q { a { ...G } } fragment G on A { b { c } }",
        "{ __schema { types { fields { type { ofType { ofType { name } } } } } } }",
    ],
)
def test_what_keeps_to_the_limits_passes(text):
    check(parse(text), LIMITS)


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


def test_fragments_that_spread_each_other_are_measured_in_no_time():
    bomb = "{ ...F0 } " + " ".join(f"fragment F{n} on Q {{ a: a ...F{n + 1} ...F{n + 1} }}" for n in range(60))
    assert "aliases" in refused(bomb + " fragment F60 on Q { a: a }")


def test_a_fragment_that_spreads_itself_is_left_to_validation():
    check(parse("{ ...F } fragment F on Q { a ...F }"), LIMITS)
    check(parse("{ ...F } fragment F on Q { a { ...G } } fragment G on A { b { ...F } }"), LIMITS)


def test_the_longest_body_holds_a_document_and_variables():
    assert Limits().body_bytes == Limits().document_bytes + Limits().variables_bytes
