"""Custom fields: the XDM subset of JSON Schema, and nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.xdm.bounds import MAX_FIELDS, check_bounds
from gateway.xdm.custom import MAX_FIELD_DEPTH, check_custom_fields
from gateway.xdm.fields import complete

NUMBER = {"type": "number"}


def nested(levels: int) -> dict[str, Any]:
    field: dict[str, Any] = {"type": "string"}
    for _ in range(levels - 1):
        field = {"type": "object", "properties": {"in": field}}
    return {"out": field}


@pytest.mark.parametrize(
    ("field", "xdm_type"),
    [
        ({"type": "string", "enum": ["a", "b"], "title": "Size", "description": "Of the shoe."}, "string"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "email", "maxLength": 80, "pattern": "^[a-z]"}, "string"),
        ({"meta:xdmType": "uri"}, "uri"),
        ({"type": "integer"}, "long"),
        ({"type": "integer", "minimum": 0, "maximum": 9}, "integer"),
        ({"meta:xdmType": "byte", "maximum": 9}, "byte"),
        ({"type": "number", "minimum": 0.5}, "double"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "array", "items": NUMBER}, "array"),
        (
            {
                "type": "object",
                "properties": {"a": NUMBER},
                "required": ["a"],
                "additionalProperties": False,
                "meta:composite": True,
            },
            "object",
        ),
        ({"type": "object", "additionalProperties": {"type": "array", "items": NUMBER}}, "map"),
    ],
)
def test_the_subset_is_taken_and_completed(field: dict[str, Any], xdm_type: str) -> None:
    assert check_custom_fields({"mine": field}) == []
    done = complete(field)
    assert done["meta:xdmType"] == xdm_type
    assert done.items() >= field.items() or xdm_type in {"array", "object", "map"}
    assert complete(done) == done


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("string", "JSON Schema object"),
        ({}, "needs a 'type'"),
        ({"type": ["string", "null"]}, "'type' is one of"),
        ({"type": {}}, "'type' is one of"),
        ({"meta:xdmType": "float"}, "'meta:xdmType' is one of"),
        ({"meta:xdmType": ["long"]}, "'meta:xdmType' is one of"),
        ({"type": "string", "meta:xdmType": "long"}, "written as"),
        ({"$ref": "#"}, "needs a 'type'"),
        ({"type": "string", "oneOf": []}, "'oneOf' cannot be said"),
        ({"type": "string", "enum": []}, "'enum' is a list"),
        ({"type": "string", "enum": ["a", "a"]}, "'enum' is a list"),
        ({"type": "string", "enum": ["a", {}]}, "'enum' is a list"),
        ({"type": "string", "format": "ipv4"}, "only be email"),
        ({"type": "string", "format": ["date"]}, "only be email"),
        ({"type": "string", "meta:xdmType": "date", "format": "uri"}, "only be date"),
        ({"type": "string", "pattern": "("}, "'pattern' is a regular expression"),
        ({"type": "string", "pattern": "(?=a)"}, "'pattern' is a regular expression"),
        ({"type": "string", "pattern": 3}, "'pattern' is a regular expression"),
        ({"type": "string", "minLength": 5, "maxLength": 3}, "'minLength' and 'maxLength'"),
        ({"type": "string", "maxLength": True}, "'minLength' and 'maxLength'"),
        ({"type": "string", "format": "date", "pattern": "1"}, "'pattern' cannot be said"),
        ({"type": "integer", "minimum": "1"}, "are numbers"),
        ({"type": "integer", "minimum": 1.5}, "lie in the range"),
        ({"type": "integer", "maximum": True}, "lie in the range"),
        ({"meta:xdmType": "byte", "maximum": 300}, "range of byte"),
        ({"type": "number", "minimum": 2, "maximum": 1}, "range of double"),
        ({"type": "number", "maximum": float("inf")}, "are numbers"),
        ({"type": "array"}, "JSON Schema object"),
        ({"type": "array", "items": NUMBER, "minItems": 1}, "'minItems' cannot be said"),
        ({"type": "object"}, "JSON Schema object"),
        ({"type": "object", "properties": {}}, "one field at least"),
        ({"type": "object", "properties": []}, "one field at least"),
        ({"type": "object", "additionalProperties": True}, "one type of its values"),
        ({"type": "object", "properties": {"a": NUMBER}, "additionalProperties": NUMBER}, "takes no others"),
        ({"type": "object", "properties": {"a": NUMBER}, "required": ["b"]}, "'required' lists names"),
        ({"type": "object", "properties": {"a": NUMBER}, "required": [{}]}, "'required' lists names"),
        ({"type": "object", "properties": {"a": NUMBER}, "meta:composite": "yes"}, "true or false"),
        ({"type": "string", "title": 1}, "'title' is text"),
        ({"type": "string", "meta:typeName": "Person"}, "'meta:typeName' cannot be said"),
    ],
)
def test_anything_else_is_named(field: Any, message: str) -> None:
    problems = check_custom_fields({"outer": {"type": "object", "properties": {"mine": field}}})
    assert problems
    assert all(problem.path.startswith("outer.mine") for problem in problems)
    assert message in problems[0].message


@pytest.mark.parametrize("key", ["", "a.b", "a b", "naïve", "__a", "@_a", "a" * 65, "a[0]", "x\x00", "$."])
def test_bad_names_are_refused(key: str) -> None:
    assert [problem.path for problem in check_custom_fields({key: NUMBER})] == [key]


def test_two_names_with_one_graphql_name_are_refused() -> None:
    problems = check_custom_fields({"card": {"type": "object", "properties": {"a-b": NUMBER, "a_b": NUMBER}}})
    assert [problem.path for problem in problems] == ["card.a_b"]
    assert "'a-b'" in problems[0].message


def test_fields_beyond_the_limits_are_refused() -> None:
    assert check_custom_fields(nested(MAX_FIELD_DEPTH)) == []
    assert "levels" in check_custom_fields(nested(MAX_FIELD_DEPTH + 1))[0].message
    assert not list(check_bounds({f"f{i}": NUMBER for i in range(MAX_FIELDS)}))
    (problem,) = check_bounds({f"f{i}": NUMBER for i in range(MAX_FIELDS + 1)})
    assert "10,001 fields" in problem.message


@pytest.mark.parametrize("custom", [None, {}, [], "x", 3])
def test_no_fields_at_all_is_a_problem(custom: Any) -> None:
    assert len(check_custom_fields(custom)) == 1


ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
))  # fmt: skip
KEYWORDS = st.sampled_from([
    "type", "meta:xdmType", "properties", "items", "additionalProperties", "enum", "minimum", "maximum", "minLength",
    "maxLength", "pattern", "format", "title", "description", "required", "meta:composite", "x",
])  # fmt: skip
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "map", "long", "byte", "date"])
SCHEMAS = st.recursive(
    st.dictionaries(KEYWORDS, ANYTHING | TYPES, max_size=4),
    lambda inner: st.dictionaries(
        KEYWORDS, inner | TYPES | ANYTHING | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_size=5
    ),
)


@given(st.dictionaries(st.text(max_size=4), SCHEMAS | ANYTHING, max_size=3) | ANYTHING)
def test_garbage_is_answered_and_never_breaks(custom: Any) -> None:
    problems = check_custom_fields(custom)
    assert all(problem.message for problem in problems)
    if not problems:
        assert all(complete(field)["meta:xdmType"] for field in custom.values())
