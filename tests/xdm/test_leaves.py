"""Values that can be written in several ways have one form: times in UTC, whole numbers without fraction or exponent."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.xdm.fields import complete
from gateway.xdm.leaves import changed_leaves, form_of, formed_time, instant, with_leaves
from gateway.xdm.validation import Validator

FIELDS = {
    "at": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date"},
    "text": {"type": "string"},
    "whole": {"type": "integer"},
    "number": {"type": "number"},
    "times": {"type": "array", "items": {"type": "string", "format": "date-time"}},
    "counts": {"type": "object", "additionalProperties": {"type": "integer", "meta:xdmType": "long"}},
    "deep": {"type": "object", "properties": {"a:b": {"type": "array", "items": {"type": "integer"}}}},
}
SCHEMA = complete({"type": "object", "properties": FIELDS})
form = form_of(SCHEMA)
VALIDATOR = Validator(SCHEMA)

TIMES = [
    ("2024-05-01T12:00:00.000Z", "2024-05-01T12:00:00.000Z"),
    ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00.000Z"),
    ("2024-05-01t12:00:00z", "2024-05-01T12:00:00.000Z"),
    ("2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00.000Z"),
    ("2024-05-01T00:30:00.5-23:59", "2024-05-02T00:29:00.500Z"),
    ("2024-05-01T12:00:00.123456789Z", "2024-05-01T12:00:00.123Z"),
    ("2024-05-01T12:00:00.1Z", "2024-05-01T12:00:00.100Z"),
    ("2024-05-01T12:00:00-00:00", "2024-05-01T12:00:00.000Z"),
    ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
    ("2016-12-31T23:59:60.250Z", "2017-01-01T00:00:00.250Z"),
    ("2017-01-01T00:59:60+01:00", "2017-01-01T00:00:00.000Z"),
    ("1000-01-01T00:00:00-14:00", "1000-01-01T14:00:00.000Z"),
    ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
]


@pytest.mark.parametrize(("sent", "formed"), TIMES, ids=[sent for sent, _ in TIMES])
def test_a_time_is_normalized_to_utc_with_milliseconds(sent, formed):
    document = {"at": sent, "times": [sent, sent]}
    assert VALIDATOR.is_valid(document)
    assert form(document) == {"at": formed, "times": [formed, formed]}
    assert VALIDATOR.is_valid(form(document))
    assert formed_time(sent) == formed
    assert instant(sent).replace(microsecond=0) == instant(formed).replace(microsecond=0)


@pytest.mark.parametrize(
    "text",
    [
        *("2024-05-01T12:00:00", "2024-05-01", "2024-05-01T12:00:60Z", "2024-02-31T12:00:00Z", "2024-05-01T24:00:00Z"),
        *("2024-05-01 12:00:00Z", "2024-05-01T12:00Z", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59-01:00", "now"),
        *("1000-01-01T00:00:00+00:01", "1000-01-01T00:00:00+14:00", "0999-12-31T23:59:59-14:00"),
    ],
)
def test_what_is_no_time_is_refused(text):
    assert [violation.code for violation in VALIDATOR.violations({"at": text})] == ["FORMAT"]


@given(
    st.datetimes(min_value=datetime(1001, 1, 1), max_value=datetime(9998, 12, 31)),  # noqa: DTZ001 (hypothesis wants it so)
    st.integers(-23 * 60, 23 * 60),
)
def test_the_form_of_a_time_is_the_same_instant_and_its_own_form(naive, minutes):
    sent = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    document = form({"at": sent.isoformat()})
    assert form(document) is document
    assert timedelta(0) <= sent - datetime.fromisoformat(document["at"]) < timedelta(milliseconds=1)
    assert instant(document["at"]).tzinfo is UTC


@pytest.mark.parametrize("sent", [1, 1.0])
def test_a_whole_number_has_neither_fraction_nor_exponent(sent):
    after = form({"whole": sent, "counts": {"a": sent, "b": 2}, "deep": {"a:b": [sent, 2]}})
    assert repr(after) == repr({"whole": 1, "counts": {"a": 1, "b": 2}, "deep": {"a:b": [1, 2]}})


def test_what_has_one_form_already_is_given_back_and_nothing_is_changed():
    document = {
        "text": "2024-05-01T12:00:00Z",
        "day": "2024-05-01",
        "number": 1.0,
        "times": ["2024-05-01T12:00:00.000Z"],
    }
    document |= {"whole": 3, "counts": {"a": 1}, "deep": {"a:b": [1]}}
    assert form(document) is document
    sent = {"at": "2024-05-01T12:00:00Z", "counts": {"a": 1.0}, "deep": {"a:b": [1.0]}}
    kept = deepcopy(sent)
    form(sent)
    assert repr(sent) == repr(kept)


def test_null_in_a_partial_document_has_no_form():
    patch = {"at": None, "whole": None, "times": None, "counts": {"a": None, "b": 1.0}, "deep": None}
    assert repr(form(patch)["counts"]) == repr({"a": None, "b": 1})


def test_leaves_sent_in_another_form_are_found_by_json_pointers():
    sent = {"at": "2024-05-01T12:00:00Z", "counts": {"a/b~c": 1.0, "d": 2}, "deep": {"a:b": [1, 2.0]}, "text": "x"}
    found = dict(changed_leaves(sent, form(sent)))
    assert repr(found) == repr({"/at": "2024-05-01T12:00:00Z", "/counts/a~1b~0c": 1.0, "/deep/a:b/1": 2.0})


def test_leaves_go_back_to_where_they_were_sent():
    sent = {
        "at": "2024-05-01T12:00:00Z",
        "counts": {"a/b~c": 1.0, "~1": 3.0, "d": 2},
        "deep": {"a:b": [1, 2.0]},
        "text": "x",
    }
    stored = deepcopy(form(sent))
    assert repr(with_leaves(stored, dict(changed_leaves(sent, stored)))) == repr(sent)
