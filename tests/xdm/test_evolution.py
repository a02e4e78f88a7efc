"""Schemas of one class live together: they may grow, and agree."""

from typing import Any

import pytest

from gateway.xdm.classes import XdmClass, compose
from gateway.xdm.evolution import additive_problems, conflicts, union
from gateway.xdm.paths import field_at
from gateway.xdm.validation import Validator


def schema(custom: dict[str, Any] | None = None, groups: list[str] | None = None) -> dict[str, Any]:
    return compose(XdmClass.INDIVIDUAL_PROFILE, groups or [], custom, "acme")


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def of(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def by_key(value: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": value}


TEXT = {"type": "string"}
ENUM = {"type": "string", "enum": ["a", "b"]}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": TEXT}, {"a": TEXT, "b": TEXT}),
        ({"a": obj(x=TEXT)}, {"a": obj(x=TEXT, y=TEXT)}),
        ({"a": obj(x=TEXT) | {"required": ["x"]}}, {"a": obj(x=TEXT)}),
        ({"a": obj(x=TEXT)}, {"a": obj(x=TEXT, y=TEXT) | {"required": ["y"]}}),
        ({"a": TEXT}, {"a": TEXT | {"title": "A", "description": "What a is."}}),
        ({"a": ENUM}, {"a": {"type": "string", "enum": ["c", "b", "a"]}}),
        ({"a": ENUM}, {"a": TEXT}),
        ({"a": {"type": "string", "maxLength": 3}}, {"a": {"type": "string", "maxLength": 5}}),
        ({"a": {"type": "number", "minimum": 3}}, {"a": {"type": "number", "minimum": 2}}),
        ({"a": {"type": "string", "pattern": "x"}}, {"a": TEXT}),
    ],
)
def test_adding_is_allowed(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert additive_problems(schema(old), schema(new)) == []


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ({"a": TEXT, "b": TEXT}, {"a": TEXT}, "_acme.b"),
        ({"a": obj(x=TEXT, y=TEXT)}, {"a": obj(x=TEXT)}, "_acme.a.y"),
        ({"a": TEXT}, {"a": {"type": "number"}}, "_acme.a"),
        ({"a": TEXT}, {"a": {"meta:xdmType": "date"}}, "_acme.a"),
        ({"a": {"meta:xdmType": "long"}}, {"a": {"meta:xdmType": "integer"}}, "_acme.a"),
        ({"a": of(TEXT)}, {"a": of({"type": "number"})}, "_acme.a.[]"),
        ({"a": by_key(TEXT)}, {"a": by_key(of(TEXT))}, "_acme.a.*"),
        ({"a": obj(x=TEXT)}, {"a": by_key(TEXT)}, "_acme.a"),
        ({"a": TEXT}, {"a": ENUM}, "_acme.a"),
        ({"a": ENUM}, {"a": {"type": "string", "enum": ["a"]}}, "_acme.a"),
        ({"a": TEXT}, {"a": {"type": "string", "maxLength": 5}}, "_acme.a"),
        ({"a": {"type": "string", "minLength": 2}}, {"a": {"type": "string", "minLength": 3}}, "_acme.a"),
        ({"a": {"type": "number", "maximum": 5}}, {"a": {"type": "number", "maximum": 4}}, "_acme.a"),
        ({"a": TEXT}, {"a": {"type": "string", "pattern": "x"}}, "_acme.a"),
        ({"a": TEXT}, {"a": {"type": "string", "format": "email"}}, "_acme.a"),
        ({"a": obj(x=TEXT)}, {"a": obj(x=TEXT) | {"required": ["x"]}}, "_acme.a.x"),
        ({"a": obj(x=TEXT)}, {"a": obj(x=TEXT) | {"meta:composite": True}}, "_acme.a"),
    ],
)
def test_anything_but_adding_is_refused_where_it_happens(old: dict[str, Any], new: dict[str, Any], path: str) -> None:
    assert [problem.path for problem in additive_problems(schema(old), schema(new))] == [path]


def test_groups_can_be_added_and_not_taken_away() -> None:
    small, large = schema(groups=["profile-loyalty"]), schema(groups=["profile-loyalty", "profile-consents"])
    assert additive_problems(small, large) == []
    assert [problem.path for problem in additive_problems(large, small)] == ["consents"]


def test_schemas_must_agree_on_types() -> None:
    here = union([schema({"a": TEXT, "c": obj(x=TEXT)}), schema({"b": of(TEXT)})])
    assert conflicts(here, schema({"a": TEXT | {"maxLength": 3}, "c": obj(y=TEXT)})) == []
    problems = conflicts(
        here,
        schema({"a": {"type": "number"}, "b": of({"type": "boolean"}), "c": obj(x=TEXT) | {"meta:composite": True}}),
    )
    assert [problem.path for problem in problems] == ["_acme.a", "_acme.c", "_acme.b.[]"]


def test_schemas_must_agree_on_graphql_names() -> None:
    problems = conflicts(schema({"c": obj(**{"a-b": TEXT})}), schema({"c": obj(a_b=TEXT)}))
    assert [problem.path for problem in problems] == ["_acme.c.a_b"]
    assert "'a-b'" in problems[0].message


def test_the_union_has_every_field_and_takes_what_any_schema_takes() -> None:
    one = schema(
        {"a": ENUM, "n": {"type": "number", "minimum": 0, "maximum": 5}, "s": {"type": "string", "maxLength": 2}}
    )
    two = schema(
        {
            "a": {"type": "string", "enum": ["b", "c"]},
            "n": {"type": "number", "minimum": 3, "maximum": 9},
            "s": TEXT,
            "z": TEXT,
        }
    )
    both = union([one, two])
    assert list(both["properties"]["_acme"]["properties"]) == ["a", "n", "s", "z"]
    assert field_at(both, "_acme.a") == {"type": "string", "meta:xdmType": "string", "enum": ["a", "b", "c"]}
    assert field_at(both, "_acme.n") == {"type": "number", "meta:xdmType": "double", "minimum": 0, "maximum": 9}
    assert field_at(both, "_acme.s") == {"type": "string", "meta:xdmType": "string"}
    validator = Validator(both)
    for document in ({"a": "a"}, {"a": "c"}, {"n": 0}, {"n": 9}, {"s": "long"}, {"z": "z"}):
        assert validator.violations({"_acme": document}) == []


def test_the_union_requires_only_fields_that_all_schemas_require() -> None:
    both = union(
        [
            schema({"c": obj(x=TEXT, y=TEXT) | {"required": ["x", "y"]}}),
            schema({"c": obj(x=TEXT, y=TEXT) | {"required": ["y"]}}),
        ]
    )
    field = field_at(both, "_acme.c")
    assert field is not None
    assert field["required"] == ["y"]


def test_the_union_of_one_schema_is_that_schema() -> None:
    one = schema({"a": TEXT}, ["profile-loyalty"])
    assert union([one]) == one
    assert additive_problems(one, union([one, schema({"b": TEXT})])) == []


def test_a_union_of_three_thousand_fields_is_made() -> None:
    parts = [schema({f"field{i}": TEXT for i in range(start, start + 300)}) for start in range(0, 3000, 300)]
    whole = union(parts)
    assert len(whole["properties"]["_acme"]["properties"]) == 3000
    assert all(additive_problems(part, whole) == [] for part in parts)
