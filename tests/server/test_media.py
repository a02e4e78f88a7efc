"""What callers say they take, and what they say they send."""

import pytest

from gateway.server.media import GRAPHQL, JSON, is_json, wanted


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}; charset=utf-8", GRAPHQL),
        (f"{GRAPHQL}, application/json;q=0.9", GRAPHQL),  # Apollo
        (f"application/json, {GRAPHQL}", GRAPHQL),
        (f"{GRAPHQL}, application/graphql+json, application/json, text/event-stream, multipart/mixed", GRAPHQL),  # urql
        (f"{GRAPHQL};q=0.5, application/json", JSON),
        (f"{GRAPHQL};q=0, */*;q=0.1", JSON),
        (f"{GRAPHQL};q=0.4, */*;q=0.1", GRAPHQL),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),  # a browser
        ("APPLICATION/JSON", JSON),
        ("application/json;q=nonsense", None),
        ("application/json;q=0", None),
        ("text/html", None),
        ("application/jsonfoo", None),
    ],
)
def test_the_best_media_type_that_both_know_is_chosen(accept, expected):
    assert wanted(accept) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ('Application/JSON;charset="UTF-8"', True),
        ("application/json; charset=latin-1", False),
        ("application/jsonfoo", False),
        ("text/plain", False),
        ("multipart/form-data; boundary=application/json", False),
        ("", False),
        (None, False),
    ],
)
def test_a_body_is_json_only_if_it_says_so(content_type, expected):
    assert is_json(content_type) is expected
