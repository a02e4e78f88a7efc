"""Media types and codings that callers accept, and those that they send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.http.negotiation import GRAPHQL, JSON, JSON_LINES, codings, is_json, is_ndjson, negotiate

ANY = st.text(st.characters(codec="latin-1"), max_size=60)
NEAR = st.lists(
    st.sampled_from(
        [
            "application/json",
            "gzip",
            "identity",
            "*",
            "*/*",
            "charset",
            "x*",
            "x*0",
            "q",
            "=",
            ";",
            ",",
            " ",
            '"',
            "\\",
            "utf-8",
            "utf-8''a",
            "0",
            "1",
            "0.5",
            "nan",
            "inf",
            "1e400",
            "-1",
            "\xa0",
            "\t",
            "\n",
            "\x00",
        ]
    ),
    max_size=20,
).map("".join)


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
        *((f"application/json;q={q}", None) for q in ("nan", "inf", "1e9", "-1", "1_0", "2", "", '"1"')),
        ("application/json; Q=1.000", JSON),
        ("application/json;q=0", None),
        ("text/html", None),
        ("application/jsonfoo", None),
    ],
)
def test_the_best_media_type_that_both_know_is_chosen(accept, expected):
    assert negotiate(accept) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ('Application/JSON;charset="UTF-8"', True),
        ("application/json; charset=latin-1", False),
        ("application/jsonfoo", False),
        ("application/json ; ; charset=utf8 ;", True),
        ('application/json; profile="a;b=\\"c"; charset=utf-8', True),
        ("application/json; charset=utf-8; charset=latin-1", False),
        ("application/json; x*=a; x*0=b", False),
        ("application/json; charset*=utf-8''a", False),
        ("application/json; charset", False),
        ('application/json; charset="utf-8', False),
        ("application/json, text/plain", False),
        ("application/json\n", False),
        ("application/json;", True),
        ("text/plain", False),
        ("multipart/form-data; boundary=application/json", False),
        ("", False),
        (None, False),
    ],
)
def test_a_body_is_json_only_if_it_says_so(content_type, expected):
    assert is_json(content_type) is expected


@pytest.mark.parametrize(
    "content_type", [*sorted(JSON_LINES), "Application/JsonLines", "Application/JSONL; charset=utf-8"]
)
def test_json_lines_are_accepted_under_each_of_their_names(content_type):
    assert is_ndjson(content_type)
    assert not is_json(content_type)


@pytest.mark.parametrize(
    "content_type", [JSON, "text/plain", "application/json-seq", "application/jsonl; charset=latin-1", "", None]
)
def test_another_media_type_is_not_taken_for_json_lines(content_type):
    assert not is_ndjson(content_type)


@pytest.mark.parametrize(
    ("accept_encoding", "gzip", "identity"),
    [
        (None, False, True),
        ("", False, True),
        ("gzip", True, True),
        ("GZip", True, True),
        ("x-gzip", True, True),
        ("gzip, deflate, br, zstd", True, True),
        ("*", True, True),
        ("br", False, True),
        ("gzip;q=0", False, True),
        ("gzip; q=0.000, *", False, True),
        ("gzip;q=0.001", True, True),
        ("gzip;q=nan", False, True),
        ("gzipped", False, True),
        ("identity", False, True),
        ("identity, gzip;q=0.5", False, True),
        ("identity;q=0.5, gzip;q=0.5", True, True),
        ("identity;q=0, gzip", True, False),
        ("gzip, *;q=0", True, False),
        ("identity;q=0.1, *;q=0", False, True),
        ("*;q=0", False, False),
        ("identity;q=0", False, False),
        ("br, identity;q=0", False, False),
    ],
)
def test_a_response_is_compressed_only_for_callers_that_accept_it(accept_encoding, gzip, identity):
    assert codings(accept_encoding) == (gzip, identity)


@given(ANY | NEAR)
def test_no_made_up_header_raises(header):
    assert negotiate(header) in {JSON, GRAPHQL, None}
    assert {is_json(header), is_ndjson(header), *codings(header)} <= {True, False}
