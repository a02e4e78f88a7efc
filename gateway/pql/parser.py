"""Text to syntax tree, within limits.

Parsing takes time in proportion to the text, and never recurses: how deep a tree is and how many nodes it has is known, and bounded, before
anything walks it.
"""

from functools import cache
from importlib import import_module
from typing import Any, Final, cast

from gateway.pql import ast
from gateway.pql.problems import Refused

MAX_EXPRESSION_LENGTH: Final = 10_000
"""Characters of an expression."""
MAX_EXPRESSION_NODES: Final = 1_000
"""Names, values, operators and calls of an expression."""
MAX_EXPRESSION_DEPTH: Final = 40
"""Parts of an expression in each other."""
MAX_SOURCES: Final = 6
"""Arrays that one quantifier goes through."""
MAX_CHAIN_STEPS: Final = 6
"""Steps of a chain, as many as in Adobe's Profile Query Language."""
MAX_DIGITS: Final = 30
"""Digits of a number."""


def parse(text: str) -> ast.Node:
    """Return the syntax tree of an expression. Raises Refused for a text that is none, and for one beyond the limits of this module."""
    if len(text) > MAX_EXPRESSION_LENGTH:
        raise Refused(f"The expression has {len(text):,} characters; at most {MAX_EXPRESSION_LENGTH:,} are allowed.", 0)
    if not text.strip():
        raise Refused(
            'The expression is empty. Write a condition, such as `person.name.lastName = "Li"`, or a value.', 0
        )
    tree = cast("ast.Node", _grammar().read(text))
    _check_size(tree)
    return tree


@cache
def _grammar() -> Any:
    """Import the grammar, which takes a fifth of a second: at the first expression, since most processes read none."""
    return import_module("gateway.pql.grammar")


def _check_size(tree: ast.Node) -> None:
    """Raise Refused for a tree with too many nodes or levels."""
    level, count, depth = [tree], 0, 0
    while level:
        count, depth = count + len(level), depth + 1
        if count > MAX_EXPRESSION_NODES:
            raise Refused(
                f"The expression has more than {MAX_EXPRESSION_NODES:,} names, values, operators and calls.",
                level[0].at,
            )
        if depth > MAX_EXPRESSION_DEPTH:
            raise Refused(
                f"More than {MAX_EXPRESSION_DEPTH} operators, calls and filters stand in each other here; a long sum is written `[a, b, …].sum()`.",
                level[0].at,
            )
        level = [child for node in level for child in ast.children(node)]
