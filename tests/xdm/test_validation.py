"""Validation: documents generated from a schema are valid, and every spoiled value is found at its path."""

import gc
import string
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import orjson
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gateway.xdm.classes import XdmClass, compose
from gateway.xdm.fields import children
from gateway.xdm.leaves import instant
from gateway.xdm.parts import Part, count_values, parts_of
from gateway.xdm.validation import MAX_SURVEYED, MAX_VIOLATION_CHARACTERS, MAX_VIOLATIONS, Validator
from gateway.xdm.violations import MAX_DOCUMENT_DEPTH, TooLarge, is_readable, unreadable

CUSTOM = {
    "code": {"type": "string", "pattern": "^[A-Z]{3}$", "maxLength": 3},
    "short": {"type": "string", "minLength": 2, "maxLength": 4},
    "level": {"meta:xdmType": "byte"},
    "count": {"meta:xdmType": "long", "minimum": 0},
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    "by-shop": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "number"}}},
    "card": {
        "type": "object",
        "required": ["no"],
        "properties": {"no": {"type": "string"}, "note": {"type": "string"}},
    },
    "open": {"type": "boolean"},
    "size": {"type": "string", "enum": ["S", "M"]},
    "site": {"type": "string", "format": "uri"},
}
SCHEMAS = {xdm_class: compose(xdm_class, None, CUSTOM, "acme") for xdm_class in XdmClass}
VALIDATORS = {xdm_class: Validator(schema) for xdm_class, schema in SCHEMAS.items()}
PROFILE = VALIDATORS[XdmClass.INDIVIDUAL_PROFILE]
EVENT = VALIDATORS[XdmClass.EXPERIENCE_EVENT]
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=12)
KEY = st.text(string.ascii_letters, min_size=1, max_size=6)


def documents(field: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a field takes."""
    match field["meta:xdmType"]:
        case "object":
            return objects(field)
        case "array":
            return st.lists(documents(field["items"]), min_size=1, max_size=2)
        case "map":
            return st.dictionaries(KEY, documents(field["additionalProperties"]), min_size=1, max_size=2)
        case "boolean":
            return st.booleans()
        case "double":
            return st.floats(field.get("minimum"), field.get("maximum"), allow_nan=False, allow_infinity=False)
        case "long" | "integer" | "short" | "byte":
            return st.integers(field["minimum"], field["maximum"])
        case "date":
            return st.dates(min_value=datetime(1000, 1, 1).date()).map(str)  # noqa: DTZ001 (a day has no zone)
        case "date-time":
            times = st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis wants it so)
            return times.map(datetime.isoformat)
        case "uri":
            return KEY.map("https://example.com/{}".format)
    return texts(field)


def texts(field: dict[str, Any]) -> st.SearchStrategy[str]:
    if "enum" in field:
        return st.sampled_from(field["enum"])
    if "pattern" in field:
        return st.from_regex(field["pattern"].replace("$", r"\Z"), fullmatch=True)
    if field.get("format") == "email":
        return KEY.map("{}@example.com".format)
    sizes = field.get("minLength", 1), min(field.get("maxLength", 12), 12)
    return st.text(string.printable.strip(), min_size=sizes[0], max_size=sizes[1]) if "minLength" in field else TEXT


def objects(field: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    properties, required = field["properties"], field.get("required", [])
    chosen = st.lists(st.sampled_from(sorted(properties)), min_size=1, max_size=4, unique=True)
    return chosen.flatmap(
        lambda keys: st.fixed_dictionaries({key: documents(properties[key]) for key in {*keys, *required}})
    )


def places(field: dict[str, Any], value: Any, path: str = "$") -> Iterator[tuple[str, dict[str, Any], Any, Any]]:
    """Every place below a value: its path, its field, and the container and key that hold it."""
    by_step = dict(children(field))
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        here = (
            f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]"
        )
        below = by_step[key if field["meta:xdmType"] == "object" else "[]" if isinstance(key, int) else "*"]
        yield here, below, value, key
        yield from places(below, child, here)


@given(st.data(), st.sampled_from(list(XdmClass)))
def test_generated_documents_are_valid_also_as_patches(data: st.DataObject, xdm_class: XdmClass) -> None:
    document = orjson.loads(orjson.dumps(data.draw(documents(SCHEMAS[xdm_class]))))
    assert VALIDATORS[xdm_class].violations(document) == []
    assert VALIDATORS[xdm_class].violations(document, partial=True) == []


@given(st.data(), st.sampled_from(list(XdmClass)))
def test_one_spoiled_place_is_found_there(data: st.DataObject, xdm_class: XdmClass) -> None:
    document = data.draw(documents(SCHEMAS[xdm_class]))
    path, field, holder, key = data.draw(st.sampled_from(list(places(SCHEMAS[xdm_class], document))))
    wrong, code = data.draw(st.sampled_from(list(spoiled(field, holder[key]))))
    holder[key] = wrong
    found = VALIDATORS[xdm_class].violations(document)
    assert [(violation.path, violation.code) for violation in found] == [(path, code)]
    assert not VALIDATORS[xdm_class].is_valid(document)


def spoiled(field: dict[str, Any], value: Any) -> Iterator[tuple[Any, str]]:
    """Wrong values for a field, and the code that each must get."""
    yield from ((empty, "EMPTY_VALUE") for empty in (None, "", [], {}))
    yield (5 if field["type"] not in {"integer", "number"} else "five"), "TYPE"
    if "maximum" in field:
        yield field["maximum"] + 1, "RANGE"
    if "enum" in field:
        yield "none of these", "ENUM"
    elif field["type"] == "string":
        yield "x\x00y", "CHARACTER"
        if field.get("format"):
            yield "not so", "FORMAT"


@given(st.data(), st.sampled_from(list(XdmClass)))
def test_an_unknown_field_is_found_where_it_stands(data: st.DataObject, xdm_class: XdmClass) -> None:
    document = data.draw(documents(SCHEMAS[xdm_class]))
    spots = [("$", document)] + [
        (path, holder[key])
        for path, field, holder, key in places(SCHEMAS[xdm_class], document)
        if field["meta:xdmType"] == "object"
    ]
    path, value = data.draw(st.sampled_from(spots))
    value["unheardOf"] = 1
    assert [(v.path, v.code) for v in VALIDATORS[xdm_class].violations(document)] == [
        (f"{path}.unheardOf", "UNKNOWN_FIELD")
    ]


@given(st.data())
def test_a_patch_may_remove_what_is_not_required(data: st.DataObject) -> None:
    schema = SCHEMAS[XdmClass.INDIVIDUAL_PROFILE]
    document = data.draw(documents(schema))
    spots = [spot for spot in places(schema, document) if "[" not in spot[0].replace("['by-shop']", "")]
    path, _, holder, key = data.draw(st.sampled_from(spots))
    assume(not path.endswith(("card.no", "payloadType")))
    holder[key] = None
    assert PROFILE.violations(document, partial=True) == []
    assert [(violation.path, violation.code) for violation in PROFILE.violations(document)] == [(path, "EMPTY_VALUE")]


@pytest.mark.parametrize(
    ("document", "path", "code"),
    [
        ({"_acme": {"card": {"no": None}}}, "$._acme.card.no", "EMPTY_VALUE"),
        ({"loyalty": {"loyaltyID": [None]}}, "$.loyalty.loyaltyID[0]", "EMPTY_VALUE"),
        ({"identityMap": {"Email": [{"primary": True}]}}, "$.identityMap.Email[0].id", "REQUIRED"),
        ({"person": {}}, "$.person", "EMPTY_VALUE"),
        ({"person": {"gender": "f"}}, "$.person.gender", "ENUM"),
        ({}, "$", "EMPTY_VALUE"),
        (None, "$", "EMPTY_VALUE"),
    ],
)
def test_a_patch_is_held_to_the_other_rules(document: Any, path: str, code: str) -> None:
    assert [(violation.path, violation.code) for violation in PROFILE.violations(document, partial=True)] == [
        (path, code)
    ]


def test_a_patch_needs_no_required_fields() -> None:
    assert PROFILE.violations({"_acme": {"card": {"note": "x"}}}, partial=True) == []
    assert [v.code for v in PROFILE.violations({"_acme": {"card": {"note": "x"}}})] == ["REQUIRED"]


ID_AND_TIME = {"_id": "1", "timestamp": "2024-05-01T12:30:00.000Z"}


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"_id": "1"}, [("$.timestamp", "REQUIRED")]),
        ([], [("$", "EMPTY_VALUE")]),
        ("text", [("$", "TYPE")]),
        (7, [("$", "TYPE")]),
        (
            {**ID_AND_TIME, "productListItems": [{"SKU": "1"}, {"name": "x"}]},
            [("$.productListItems[1].SKU", "REQUIRED")],
        ),
        ({**ID_AND_TIME, "_acme": {"code": "abc"}}, [("$._acme.code", "PATTERN")]),
        ({**ID_AND_TIME, "_acme": {"short": "abcde"}}, [("$._acme.short", "LENGTH")]),
        ({**ID_AND_TIME, "_acme": {"short": "a"}}, [("$._acme.short", "LENGTH")]),
        ({**ID_AND_TIME, "_acme": {"level": 128}}, [("$._acme.level", "RANGE")]),
        ({**ID_AND_TIME, "_acme": {"count": 2**53}}, [("$._acme.count", "RANGE")]),
        ({**ID_AND_TIME, "_acme": {"count": 10**40}}, [("$._acme.count", "RANGE")]),
        ({**ID_AND_TIME, "_acme": {"level": 1.5}}, [("$._acme.level", "TYPE")]),
        ({**ID_AND_TIME, "_acme": {"open": "yes"}}, [("$._acme.open", "TYPE")]),
        ({**ID_AND_TIME, "_acme": {"site": "example"}}, [("$._acme.site", "FORMAT")]),
        ({**ID_AND_TIME, "_acme": {"by-shop": {"": [1]}}}, [("$._acme['by-shop']", "EMPTY_VALUE")]),
        ({**ID_AND_TIME, "_acme": {"by-shop": {"a\x00": [1]}}}, [("$._acme['by-shop']", "CHARACTER")]),
        ({**ID_AND_TIME, "_acme": {"by-shop": {"\udc00": [1]}}}, [("$._acme['by-shop']", "CHARACTER")]),
        ({**ID_AND_TIME, "eventType": "\ud800"}, [("$.eventType", "CHARACTER")]),
    ],
)
def test_events_are_refused_with_a_code_for_each_violation(document: Any, found: list[tuple[str, str]]) -> None:
    assert [(violation.path, violation.code) for violation in EVENT.violations(document)] == found


@pytest.mark.parametrize("levels", [MAX_DOCUMENT_DEPTH + 1, 900])
@pytest.mark.parametrize("key", ["person", "nothing", "personID"])
def test_depth_bombs_are_named(levels: int, key: str) -> None:
    document: Any = "x"
    for _ in range(levels):
        document = {"a": document}
    assert [violation.code for violation in PROFILE.violations({key: document})] == ["DEPTH"]


LEAVES = (
    st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.sampled_from(["\x00", "\ud800", TooLarge("inf")])
)
KEYS = st.text(max_size=2) | st.sampled_from(["\x00", "\udc00"])


@given(
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)),
    st.sampled_from([0, 1, MAX_DOCUMENT_DEPTH - 1, MAX_DOCUMENT_DEPTH]),
)
def test_a_document_is_readable_exactly_if_nothing_in_it_is_unreadable(document: Any, levels: int) -> None:
    for level in range(levels):
        document = [document] if level % 2 else {"a": document}
    assert is_readable(document) == (not list(unreadable(document)))


@pytest.mark.parametrize("count", [10, 1_000])
def test_a_document_is_let_go_of_once_it_is_checked(count: int) -> None:
    document = {"person": [""] * count}
    held = sys.getrefcount(document)
    gc.disable()
    try:
        assert PROFILE.violations(document)
        assert sys.getrefcount(document) == held
    finally:
        gc.enable()


def test_at_most_twenty_violations_are_found_one_for_each_path() -> None:
    found = PROFILE.violations({f"wrong{i}": i for i in range(30)})
    assert [violation.code for violation in found] == ["UNKNOWN_FIELD"] * MAX_VIOLATIONS
    assert len({violation.path for violation in found}) == MAX_VIOLATIONS


def test_long_violations_are_found_up_to_so_many_characters() -> None:
    deep: Any = {f"{i:099}\x00": 1 for i in range(30)} | {f"{i:0100}": "\x00" for i in range(30)}
    for _ in range(20):
        deep = {"x" * 100: deep}
    found = PROFILE.violations(deep)
    assert 1 <= len(found) < MAX_VIOLATIONS
    assert sum(len(violation.path) + len(violation.message) for violation in found) <= MAX_VIOLATION_CHARACTERS


@given(st.text(string.ascii_letters, min_size=60, max_size=200))
def test_messages_repeat_little_of_what_was_sent(secret: str) -> None:
    spoilt = {"person": {"gender": secret, "birthDate": secret, "nationality": secret, "taxId": [secret]}, secret: 1}
    found = PROFILE.violations(spoilt)
    assert len(found) == 5
    assert all(secret[:41] not in violation.message for violation in found)


TIMES = st.from_regex(
    r"\A[0-9]{4}-(0[0-9]|1[0-3])-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.][0-9]{1,12})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])?\Z"
)


@given(TIMES)
@example("9999-12-31T23:59:59-10:00")
@example("9999-12-31T23:59:59Z")
@example("1000-01-01T00:00:00+23:59")
@example("2024-06-30T23:59:60Z")
@example("0000-01-01T00:00:00Z")
def test_every_time_that_is_taken_can_be_used(text: str) -> None:
    if EVENT.violations({"_id": "1", "timestamp": text}) == []:
        assert instant(text).isoformat()


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("2024-05-01T12:30:00Z", True),
        ("2024-05-01T12:30:00.123456789+05:30", True),
        ("9999-12-31T23:59:59.999Z", True),
        ("9999-12-31T23:59:59-10:00", False),
        ("2024-05-01T12:30:00", False),
        ("2024-05-01", False),
        ("2024-02-30T12:30:00Z", False),
        ("2024-06-30T23:59:60Z", True),
        ("2024-06-30T23:58:60Z", False),
        ("0001-01-01T00:00:00Z", False),
    ],
)
def test_times_have_a_zone(text: str, fine: bool) -> None:
    assert [v.code for v in EVENT.violations({"_id": "1", "timestamp": text})] == ([] if fine else ["FORMAT"])


@given(st.data(), st.sampled_from(list(XdmClass)), st.integers(1, 6), st.booleans())
def test_a_large_document_has_the_violations_of_all_its_parts(
    data: st.DataObject, xdm_class: XdmClass, size: int, partial: bool
) -> None:
    """A document is cut where it is large, so a small one that is cut small must have the violations that it has as a whole."""
    schema, validator = SCHEMAS[xdm_class], VALIDATORS[xdm_class]
    document = data.draw(documents(schema))
    spots = list(places(schema, document))
    for place in data.draw(st.lists(st.integers(0, len(spots) - 1), min_size=1, max_size=4)):
        _, field, holder, key = spots[place]
        wrong = [*(wrong for wrong, _ in spoiled(field, holder[key])), ["x"] * 4, {"unheardOf": [1, {"x": 2}]}]
        holder[key] = data.draw(st.sampled_from(wrong))
    whole = validator.violations(document, partial=partial)
    with mock.patch("gateway.xdm.validation.MAX_SURVEYED", size):
        cut = validator.violations(document, partial=partial)
    assert sorted(cut, key=lambda each: each.path) == sorted(whole, key=lambda each: each.path)


@pytest.mark.parametrize("wrong", ["", None, [], "xx"])
def test_a_large_document_is_checked_part_by_part_until_enough_is_found(wrong: Any, surveyed: list[int]) -> None:
    """To find every fault of 100 kB takes the validator a fifth of a second; those that are told lie in the first parts."""
    codes = {many: PROFILE.violations({"_acme": {"by-shop": {"a": [wrong] * many}}}) for many in (3, 30_000)}
    assert len(codes[3]) == 3
    assert codes[30_000][:3] == codes[3]
    assert [each.path for each in codes[30_000]] == [f"$._acme['by-shop'].a[{i}]" for i in range(MAX_VIOLATIONS)]
    assert sum(surveyed) <= 2 * MAX_SURVEYED


def test_a_large_value_where_no_field_is_is_not_searched_further(surveyed: list[int]) -> None:
    deep: Any = {"a": [1] * 1_000}
    for _ in range(20):
        deep = {"a": deep, "b": [1] * 1_000}
    assert [each.path for each in PROFILE.violations({"unheardOf": deep, "other": 1})] == ["$.unheardOf", "$.other"]
    assert len(surveyed) <= 3


def test_the_last_fault_of_a_large_document_is_found() -> None:
    many = {"_acme": {"by-shop": {str(i): [1] * 50 for i in range(100)} | {"last": [1] * 999 + ["x"]}}}
    assert [each.path for each in PROFILE.violations(many)] == ["$._acme['by-shop'].last[999]"]


@pytest.fixture
def surveyed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many values each part has in which every fault is looked for."""
    counts = list[int]()

    def counted(*arguments: Any) -> Iterator[Part]:
        for part in parts_of(*arguments):
            counts.append(count_values(part.value, 1_000_000))
            yield part

    monkeypatch.setattr("gateway.xdm.validation.parts_of", counted)
    return counts


TAKEN = ["a@example.com", "a@b", "j\u00f6rg@example.com", "jo\u0308rg@example.com", "ada@m\u00fcnchen.de"]
TAKEN += [
    "\u0430\u0434\u0430@\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444",
    "\u7528\u6237@\u4f8b\u5b50.\u4e2d\u56fd",
    "ada@xn--mnchen-3ya.de",
]
NONSENSE = [
    "Ada <a@b.c>",
    "a@b@c",
    "a",
    "@",
    "a@",
    "@b",
    "a..b@c.de",
    ".a@c.de",
    "a b@c.de",
    "a@-x.de",
    "a@x..de",
    "a@[1.2.3.4]",
]
NONSENSE += [
    "j\u00f6rg",
    "@m\u00fcnchen.de",
    "j\u00f6rg@",
    "j\u00f6rg <j@x.de>",
    "a@-\u00fc.de",
    "a@\u00fc..de",
    "a b@\u00fc.de",
]
NONSENSE += [f"a{unseen}@x.de" for unseen in "\u200b\ufeff\u00ad\u2060\u3164\u00a0\u2028"] + [
    "\u200b@x.de",
    "a@\u200bx.de",
    "a@x.de\u200b",
]


@pytest.mark.parametrize("text", TAKEN, ids=ascii)
def test_an_e_mail_address_may_be_internationalized(text: str) -> None:
    assert PROFILE.violations({"personalEmail": {"address": text}}) == []


@pytest.mark.parametrize("text", NONSENSE, ids=ascii)
def test_what_is_no_e_mail_address_is_refused_in_plain_words(text: str) -> None:
    (violation,) = PROFILE.violations({"personalEmail": {"address": text}})
    assert (violation.code, violation.path) == ("FORMAT", "$.personalEmail.address")
    assert "an e-mail address such as" in violation.message
