"""Selectors: a choice of fields of a document, as text and as a tree.

    selector = item *( "," item )
    item     = path [ "(" selector ")" ]
    path     = name *( "." name )

`person.name(firstName,lastName),workEmail` selects two leaves and one whole object. Blanks and line ends may stand around names
and signs. Overlapping paths add up: `a,a.b` is `a`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.domain.rules.names import did_you_mean
from gateway.errors import BadSelector
from gateway.xdm.fields import Field, below, names_below, noun_below

Selector = Mapping[str, "Selector | None"]
"""Selected fields by name: None selects everything below, a tree only what it names."""

MAX_SELECTOR_LENGTH = 100_000
MAX_SELECTOR_DEPTH = 64

_Tree = dict[str, "_Tree | None"]
_TOKEN = re.compile(r"[.,()]|[^\s.,()]+")
_SIGNS = frozenset(".,()")
_ABSENT = object()


def parse(text: str, schema: Field | None = None) -> Selector:
    """Return a selector's tree. All its fields must be in the schema, if given. Raises BadSelector with the mistake's line and column."""
    if len(text) > MAX_SELECTOR_LENGTH:
        raise BadSelector(f"The selector has {len(text):,} characters; at most {MAX_SELECTOR_LENGTH:,} are allowed.")
    if not text.strip():
        raise BadSelector("The selector is empty. Name at least one field, or leave the selector out to take all.")
    return _Parser(text).selector(schema)


def apply(selector: Selector, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the selected part of the document.

    A path through an array goes through each element, and the array keeps its length and order. The parents on the way
    are kept, as empty objects if they hold nothing selected. Missing fields, and fields below a plain value, are left out.
    Whole values are shared with the document, not copied.
    """
    return {
        name: picked
        for name, inner in selector.items()
        if name in document and (picked := _pick(inner, document[name])) is not _ABSENT
    }


def paths(selector: Selector) -> list[tuple[str, ...]]:
    """Return the paths of the fields that are selected whole, in the selector's order."""
    return [(name, *below) for name, inner in selector.items() for below in ([()] if inner is None else paths(inner))]


def lacking(paths_: Iterable[str], schema: Field) -> list[str]:
    """Return those of some dotted paths that name no field of a schema, in any element of an array and under any key of a map."""
    return [path for path in paths_ if not _has(schema, path.split("."))]


def _has(schema: Field, path: Sequence[str]) -> bool:
    field: Field | None = schema
    for name in path:
        field = None if field is None else below(field, name)
    return field is not None


def _pick(inner: Selector | None, value: Any) -> Any:
    if inner is None:
        return value
    if isinstance(value, dict):
        return apply(inner, value)
    if not isinstance(value, list):
        return _ABSENT
    picked = [_pick(inner, element) for element in value]
    if value and all(element is _ABSENT for element in picked):
        return _ABSENT
    return [{} if element is _ABSENT else element for element in picked]


class _Parser:
    """Recursive descent into a tree that grows in place, so that overlapping paths meet in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [(match[0], match.start()) for match in _TOKEN.finditer(text)]
        self.tokens.append(("", len(text)))
        self.next = 0

    def selector(self, schema: Field | None) -> Selector:
        tree: _Tree = {}
        self.items(tree, 0, schema)
        if self.tokens[self.next][0]:
            raise self.unexpected("a comma or the end")
        return tree

    def items(self, tree: _Tree, depth: int, field: Field | None) -> None:
        self.item(tree, depth, field)
        while self.accept(","):
            self.item(tree, depth, field)

    def item(self, tree: _Tree, depth: int, field: Field | None) -> None:
        """Read one item below a field of the schema; None if the schema below is unknown."""
        name, field = self.name(depth := depth + 1, field)
        while self.accept("."):
            tree = _below(tree, name)
            name, field = self.name(depth := depth + 1, field)
        if self.accept("("):
            self.items(_below(tree, name), depth, field)
            if not self.accept(")"):
                raise self.unexpected("a comma or a closing parenthesis")
        else:
            tree[name] = None

    def name(self, depth: int, above: Field | None) -> tuple[str, Field | None]:
        """Read the next name; return it, and the field of the schema that it names."""
        token, _ = self.tokens[self.next]
        if not token or token in _SIGNS:
            raise self.unexpected("the name of a field")
        if depth > MAX_SELECTOR_DEPTH:
            raise self.error(f"The selector goes deeper than {MAX_SELECTOR_DEPTH} levels")
        field = above and self.field(above, token)
        self.next += 1
        return token, field

    def field(self, above: Field, name: str) -> Field:
        """Return the field of this name one step below, in any element of an array and under any key of a map."""
        found = below(above, name)
        if found is None:
            names = names_below(above)
            raise self.error(
                f"There is no {noun_below(above)} {name[:40]!r} here{'' if names else ', below a plain value'}",
                did_you_mean(name, names),
            )
        return found

    def accept(self, sign: str) -> bool:
        found = self.tokens[self.next][0] == sign
        self.next += found
        return found

    def unexpected(self, expected: str) -> BadSelector:
        token = self.tokens[self.next][0]
        return self.error(f"Expected {expected}, found {repr(token[:40]) if token else 'the end'}")

    def error(self, message: str, hint: str = "") -> BadSelector:
        before = self.text[: self.tokens[self.next][1]]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return BadSelector(f"{message} (line {line}, column {column}).{hint}", line=line, column=column)


def _below(tree: _Tree, name: str) -> _Tree:
    """Return the tree under the name, to add to; a detached one if the name is selected whole already."""
    inner = tree.setdefault(name, {})
    return {} if inner is None else inner
