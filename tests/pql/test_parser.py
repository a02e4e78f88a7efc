"""Whatever a text is, it is an expression, or refused with a place in it, in bounded time: nothing else comes out of the parser, and of the check."""

from itertools import chain
from time import thread_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pql.examples import EXAMPLES
from pql.sample import checked

from gateway.pql import ast
from gateway.pql.parser import MAX_EXPRESSION_LENGTH, parse
from gateway.pql.problems import Refused

PIECES = sorted(
    set(chain.from_iterable(text.replace("(", " ( ").replace("[", " [ ").replace("]", " ] ").replace(",", " , ").split() for text in EXAMPLES))
    | set("^$`\"'\\{}[]().,:;=<>!+-*/%&|#\n\x00é€𝄞")
    | {"\ud800", "^^^", "$1", "=>", "1e9", "9" * 40, "(?i)", "\u2028"}
)  # fmt: skip
MAX_SECONDS = 1
"""Of the CPU, that any text of the greatest length may take: more than ten times what the worst one does."""
HOSTILE = [
    sign * MAX_EXPRESSION_LENGTH for sign in ("(", "[", "{", "!", "-", "^", "$", '"', "`", "\\", "a", "1", " ", ".", "é")
] + [
    "(" * 4_000 + "1" + ")" * 4_000,
    "[" * 4_000 + "]" * 4_000,
    "1" + " - " * 3_000 + "1",
    "a" + ".a" * 4_900,
    "a" + "[b" * 3_000,
    "(a," * 3_000,
    "(a" + ",a" * 4_000,
    "(" + " " * 9_000 + "a",
    ", a from " * 1_000,
    "exists a from b" + ", a from b" * 900,
    "sum " * 2_000,
    "if(true, " * 1_000,
    "let a = " * 1_000,
    '"' + "\\u0041" * 1_600 + '"',
    'x.matches("' + "(" * 900 + ")" * 900 + '")',
    'x.matches("' + "a{9}" * 240 + '")',
    'x.matches("[' + "a-" * 400 + ']")',
]  # fmt: skip


def examined(text):
    """Check a text, within a time; the mistakes that it has lie inside it."""
    begin = thread_time()
    found = checked(text)
    assert thread_time() - begin < MAX_SECONDS
    assert (found.expression is None) == bool(found.errors)
    lines = text.split("\n")
    for problem in (*found.errors, *found.warnings):
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert 0 < len(problem.message) <= 500


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join))
def test_words_in_any_order_are_an_expression_or_a_mistake(text):
    examined(text)


@given(st.data())
def test_a_changed_example_is_an_expression_or_a_mistake(data):
    text = data.draw(st.sampled_from(list(EXAMPLES)))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 5)))
        text = text[:start] + data.draw(st.sampled_from(["", *PIECES])) + text[end:]
    examined(text)


@given(st.text(max_size=200))
@example("\ud800")
@example('_acme.in.matches("\x00")')
def test_any_text_is_an_expression_or_a_mistake(text):
    examined(text)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:12]!r}, {len(text)}")
def test_a_hostile_text_is_an_expression_or_a_mistake(text):
    examined(text[:MAX_EXPRESSION_LENGTH])


def outline(node):
    """The text that a tree says, every part in parentheses."""
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.Name(name=name):
            return name
        case ast.Arithmetic(sign=sign, left=left, right=right) | ast.Compared(operator=sign, left=left, right=right):
            return f"({outline(left)} {sign} {outline(right)})"
        case ast.Logic(operator=operator, operands=operands):
            return f"({f' {operator} '.join(map(outline, operands))})"
        case ast.Not(of=of):
            return f"(not {outline(of)})"
        case ast.Negative(of=of):
            return f"(-{outline(of)})"
        case ast.Quantified(kind=kind, sources=sources):
            return (
                f"({kind} {', '.join(f'{each.name} {each.condition and outline(each.condition)}' for each in sources)})"
            )


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a + b * c - d / e % f", "((a + (b * c)) - ((d / e) % f))"),
        ("-a * b + -3", "(((-a) * b) + -3)"),
        ("a or b and not c = d + 1", "(a or (b and (not (c = (d + 1)))))"),
        ("not a and b or c", "(((not a) and b) or c)"),
        ("!(a or b) and c", "((not (a or b)) and c)"),
        ("a and exists X from b where X and c or d", "(a and (exists X ((X and c) or d)))"),
        ("(exists X from b where X) or d", "((exists X X) or d)"),
        ("exists X from a where X, Y from b where Y and c", "(exists X X, Y (Y and c))"),
        ("a in b and c notIn d", "((a in b) and (c notin d))"),
    ],
)
def test_what_binds_closer(text, meaning):
    assert outline(parse(text)) == meaning


def test_strings_mean_their_escapes():
    assert parse('"\\"\\\\\\n\\t\\u00e9\\ud834\\udd1e\'"').value == "\"\\\n\té𝄞'"
    with pytest.raises(Refused):
        parse('"a\nb"')
