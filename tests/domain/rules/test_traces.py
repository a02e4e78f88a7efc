"""A value is found in a text however the text encodes it, and only where it stands by itself."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.rules.traces import SoughtValues

values = st.text(st.characters(exclude_categories=["Cs", "Cc"], codec="utf-8"), min_size=6, max_size=12).map(str.strip)
values = values.filter(lambda value: len(value) >= 6 and any(map(str.isalnum, value)))


def written(text):
    """Write each character as an escape of its code, in upper case."""
    return "".join(f"\\u{code[:2].hex().upper()}" for code in halves(text))


def halves(text):
    packed = text.encode("utf-16-be")
    return [packed[at : at + 2] for at in range(0, len(packed), 2)]


def as_json(text):
    return json.dumps(text)[1:-1]


encodings = st.sampled_from(
    [
        *(str, str.upper, str.title, written, lambda text: written(text).lower(), as_json),
        *(lambda text: json.dumps(text, ensure_ascii=False), lambda text: as_json(as_json(as_json(text)))),
    ]
)
around = st.sampled_from(["", '"', " ", "\\n", "\n", ",", ": ", "\\u000b", "(", '\\"', "\\\\n"])


@given(st.lists(values, min_size=1, max_size=5), st.data())
def test_each_value_is_found_in_any_encoding(sought, data):
    value, encoded = data.draw(st.sampled_from(sought)), data.draw(encodings)
    before, after = data.draw(around), data.draw(around)
    text, looked_for = f"x {before}{encoded(value)}{after} y", SoughtValues(sought)
    if encoded not in (str.upper, str.title) or encoded(value).casefold() == value.casefold():  # some change by case
        assert looked_for.are_in(text)
        assert len(encoded(value)) <= looked_for.reach


@pytest.mark.parametrize(
    ("value", "text", "is_there"),
    [
        ("ana@example.com", "for ana@example.com.", True),
        ("ana@example.com", '{"id": "ANA@example.com"}', True),
        ("ana@example.com", "joana@example.com", False),
        ("josé@example.com", '"jos\\u00E9@example.com"', True),
        ("josé@example.com", '"jos\\u00c9@example.com"', True),
        ("JOSÉ@example.com", '{"log": "{\\\\\\"id\\\\\\": \\\\\\"jos\\\\u00e9@example.com\\\\\\"}"}', True),
        ("josé@example.com", "josé@example.org josé", False),
        ("weißer@example.com", "WEISSER@EXAMPLE.COM", True),
        ("CORP\\uwe", json.dumps(json.dumps("CORP\\uwe")), True),
        ("josé@example.com", "jose\u0301@example.com", True),
        ('an "ID" \\ 1', json.dumps({"id": 'an "ID" \\ 1'}), True),
        ("line\nbreak", json.dumps(["line\nbreak"]), True),
        ("1", '{"age": 1}', False),
        ("1", '{"id": "1"}', True),
        ("+1", "+1", True),
        ("1" * 38, "1" * 39, False),
        ("---___---", "x ---___--- y", True),
    ],
)
def test_a_value_counts_where_it_stands_by_itself(value, text, is_there):
    assert SoughtValues([value, "somebody.else@example.com"]).are_in(text) is is_there
    assert not SoughtValues([]).are_in(text)
