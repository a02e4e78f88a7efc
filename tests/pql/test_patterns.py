"""Regular expressions mean in Postgres what they mean in Java, or are refused; Python's, which agree with Java's here, stand in for them."""

import re

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pql.patterns import PatternRefused, regex

PIECES = [
    *"abA1_ .^$|()[]{}*+?-é\n", "\\d", "\\w", "\\s", "\\D", "\\W", "\\S", "\\b", "\\.", "\\\\", "\\n", "\\t", "\\x41", "\\u0062", "\\A",
    "(?:", "(?=", "(?!", "(?<=", "(?<!", "[a-c]", "[^a]", "[\\d_]", "[-a]", "{2}", "{0,3}", "{1,}", "(a|b)", "(a)\\1", "\\1", "*?", "++", "(?i)", "(?s)",
]  # fmt: skip
TEXTS = [
    "",
    "a",
    "A",
    "b1",
    "ab",
    "aa",
    "a b",
    "a\nb",
    "a.b",
    "é",
    "_",
    "1",
    "abab",
    "a\n",
    "ba\n\n",
    "\\",
    "AaBb",
    "bbb",
    "a-",
]
REFUSED = [
    "(?<name>a)", "a*+", "a++", "\\p{L}", "[[:alpha:]]", "[a&&b]", "[[a]b]", "\\Qa\\E", "a{256}", "a{3,2}", "a{x}", "*a", "a**", "(a", "a)", "[a",
    "[]a]", "[b-a]", "[a-\\d]", "\\", "\\0", "\\e", "\\1", "(a)\\2", "(\\1a)", "(?=(a))", "(a)(?=\\1)", "(?<=a*)b", "(?<=a+?)b", "(?m)a", "a(?i)b", "(?i:a)",
    "^*", "(?=a)*", "(a{200}){200}", "(?>a)", "\\R", "\\h", "\\N", "[\\p{L}]", "x" * 1_001, "\\u0000", "\\ud800",
]  # fmt: skip


@pytest.fixture(scope="module")
async def connection(module_dsn):
    connection = await asyncpg.connect(module_dsn)
    yield connection
    await connection.close()


async def by_postgres(connection, pattern, texts):
    statement = """select array_agg(text collate "C" ~ $1 order by place) from unnest($2::text[]) with ordinality as t (text, place)"""
    return await connection.fetchval(statement, regex(pattern).pattern, texts)


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_only_one_of_the_two_knows_is_refused(pattern):
    with pytest.raises(PatternRefused):
        regex(pattern)


@settings(max_examples=1_000)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join))
async def test_an_allowed_pattern_finds_the_same_in_postgres(connection, pattern):
    try:
        regex(pattern)
    except PatternRefused:
        return
    found = [bool(re.search(pattern, text, re.ASCII)) for text in TEXTS]
    assert await by_postgres(connection, pattern, TEXTS) == found


@pytest.mark.parametrize("text", ["a\r\n", "a\r", "a\u0085", "a\u2028"])
async def test_any_end_of_a_line_is_one(connection, text):
    """Java knows more of them than Python."""
    assert await by_postgres(connection, "a$", [text, text * 2, f"b{text}b"]) == [True, True, False]
    assert await by_postgres(connection, "a.", [text]) == [False]
    assert await by_postgres(connection, "(?s)a.", [text]) == [True]
    assert await by_postgres(connection, "a\\z", [text, "a"]) == [False, True]


@pytest.mark.parametrize(
    "pattern", ["(a{15}){15}", "([a-z0-9_]{20}){19}", "(((a?){5}){5}){5}", "(a|b|c|d|e){200}", "(?=(?:a{100}){9})"]
)
async def test_the_largest_patterns_are_compiled(connection, pattern):
    assert await by_postgres(connection, pattern, ["b"]) is not None
