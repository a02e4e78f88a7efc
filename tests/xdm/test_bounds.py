"""Custom fields are limited in everything that costs memory or time, and each problem names its field."""

from typing import Any

import pytest

from gateway.xdm import bounds, patterns
from gateway.xdm.bounds import check_bounds
from gateway.xdm.classes import XdmClass, compose
from gateway.xdm.custom import check_custom_fields
from gateway.xdm.validation import Validator, weight

TEXT: dict[str, Any] = {"type": "string"}
ORDINARY = [
    r"^[A-Z]{2}[0-9]{4}$",
    r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    r"^[\p{L}\p{M}' .-]+$",
    r"^\p{Lu}\p{L}*$",
    r"^\S{1,50}$",
    r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$",
]
LARGE = [r"[\p{L}\p{M}]{0,60}|a1", r"(a{1000}){100}", r"((a{50}){50}){50}", "a" * 1_001, r"(?:\w{1,1000}){1,1000}"]


@pytest.mark.parametrize("pattern", ORDINARY)
def test_an_ordinary_pattern_is_taken(pattern):
    fields = {"f": TEXT | {"pattern": pattern}}
    assert check_custom_fields(fields) == []
    assert list(check_bounds(fields)) == []
    Validator(compose(XdmClass.INDIVIDUAL_PROFILE, None, fields, "acme")).compile(partial=False)


@pytest.mark.parametrize("pattern", LARGE)
def test_a_pattern_that_is_large_once_compiled_is_refused_with_its_field_and_the_limit(pattern):
    nested = {"out": {"type": "object", "properties": {"in": TEXT | {"pattern": pattern}}}}
    (problem,) = check_custom_fields(nested)
    assert problem.path == "out.in"
    assert "128 kB" in problem.message


def test_the_patterns_of_a_schema_have_a_limit_together():
    size = patterns.compiled_size(r"^\p{Lu}\p{L}*$|0")
    most = bounds.MAX_PATTERNS_BYTES // size
    fields = {f"f{number}": TEXT | {"pattern": rf"^\p{{Lu}}\p{{L}}*$|{number % 10}"} for number in range(most + 1)}
    (problem,) = check_bounds(fields)
    assert problem.path == f"f{most}"
    assert "2 MB" in problem.message
    del fields[f"f{most}"]
    assert list(check_bounds(fields)) == []


def test_the_size_of_a_pattern_is_the_least_that_it_compiles_under():
    assert patterns.compiled_size("^a$") == patterns.SIZES[0]
    assert patterns.compiled_size(r"^\p{L}+$") in patterns.SIZES[3:]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (TEXT | {"title": "x" * 256}, "255"),
        (TEXT | {"description": "x" * 10_001}, "10,000"),
        (TEXT | {"description": "x" * 5_000_000}, "10,000"),
        (TEXT | {"enum": ["x" * 1_001]}, "1,000"),
        (TEXT | {"enum": ["a\x00"]}, "NUL"),
        (TEXT | {"title": "a\x00"}, "NUL"),
        ({"type": "array", "items": TEXT | {"title": "x" * 256}}, "255"),
    ],
)
def test_a_text_beyond_its_limit_is_named_with_its_field(field, said):
    fields = {"f": field}
    assert check_custom_fields(fields) == []
    problem = next(check_bounds(fields))
    assert problem.path in {"f", "f.[]"}
    assert said in problem.message


def test_custom_fields_have_a_size_as_a_whole():
    fields = {f"f{number}": TEXT | {"description": "x" * 9_000} for number in range(120)}
    (problem,) = check_bounds(fields)
    assert problem.path == ""
    assert "1,000,000 bytes" in problem.message


def test_a_whole_number_that_json_readers_do_not_agree_on_is_no_bound():
    assert check_custom_fields({"f": {"type": "number", "maximum": 10**20}})
    assert check_custom_fields({"f": {"type": "number", "maximum": 1e20}}) == []


def test_problems_are_named_up_to_a_number():
    assert len(check_custom_fields({f"f{number}": {} for number in range(5_000)})) == 100


def test_a_validator_weighs_about_what_its_fields_and_patterns_take():
    small = compose(XdmClass.INDIVIDUAL_PROFILE, None, {"f": TEXT}, "acme")
    large = compose(XdmClass.INDIVIDUAL_PROFILE, None, {"f": TEXT | {"pattern": r"^\p{L}+$"}}, "acme")
    assert 500_000 < weight(small) < 10_000_000
    assert weight(large) - weight(small) == 2 * patterns.compiled_size(r"^\p{L}+$")
