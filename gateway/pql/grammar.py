"""The grammar in `pql.lark`: texts that it lets pass become syntax trees, rule by rule, while they are read."""

import re
from decimal import Decimal
from importlib.resources import files
from typing import Any, Final, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken, v_args

from gateway.pql import ast
from gateway.pql.parser import MAX_CHAIN_STEPS, MAX_DIGITS, MAX_SOURCES
from gateway.pql.problems import Refused
from gateway.pql.syntax_errors import unexpected

_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED: Final = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_UNITS: Final = {"centuries": "century", "millennia": "millennium"}


def read(text: str) -> ast.Node:
    """Return the syntax tree of a text. Raises Refused, with its place, for what the grammar does not let pass."""
    try:
        return cast("ast.Node", cast("Any", _PARSER.parse(text)))
    except (UnexpectedToken, UnexpectedCharacters) as error:
        raise unexpected(text, error) from None


def _string(token: Token) -> str:
    """Return the text that a string literal stands for."""
    start = token.start_pos or 0

    def character(found: re.Match[str]) -> str:
        escape = found[1]
        if len(escape) > 1:
            return chr(int(escape[1:], 16))
        if escape not in _ESCAPED:
            raise Refused(
                f'A string has no `\\{escape}`. There are `\\"`, `\\\\`, `\\n`, `\\t` and `\\uXXXX`; in a regular expression, write a backslash twice.',
                start + 1 + found.start(),
            )
        return _ESCAPED[escape]

    text = _ESCAPE.sub(character, token[1:-1])
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")  # two halves are one character
    if _UNSTORABLE.search(joined):
        raise Refused("A string has no NUL character and no half of a character.", start)
    return joined


def _unit(token: Token) -> Any:
    word = token.lower()
    return _UNITS.get(word) or word.removesuffix("s")


@v_args(inline=True)
class _Builder(Transformer[Token, ast.Node]):
    """Makes a node of what a rule has matched, while it is matched. A method is called like its rule."""

    def start(self, tree: ast.Node) -> ast.Node:
        return tree

    def name(self, token: Token) -> Token:
        return token.update(value=token[1:-1]) if token.type == "QUOTED_NAME" else token

    def arguments(self, *nodes: ast.Node) -> tuple[ast.Node, ...]:
        return nodes

    def function(self, token: Token, *parts: Any) -> ast.Node:
        return ast.Lambda(_at(token), tuple(map(str, parts[:-1])), parts[-1])

    def disjunction(self, *operands: ast.Node) -> ast.Node:
        return ast.Logic(operands[0].at, "or", operands)

    def conjunction(self, *operands: ast.Node) -> ast.Node:
        return ast.Logic(operands[0].at, "and", operands)

    def negated(self, token: Token, of: ast.Node) -> ast.Node:
        return ast.Not(_at(token), of)

    def quantified(self, token: Token, *sources: ast.Source) -> ast.Node:
        kind: Any = token.lower()
        if sources[-1].condition is None:
            raise Refused(f"`{kind}` ends with `where` and a condition.", sources[-1].at)
        if len(sources) > MAX_SOURCES:
            raise Refused(f"`{kind}` goes through at most {MAX_SOURCES} arrays.", sources[MAX_SOURCES].at)
        return ast.Quantified(_at(token), kind, sources)

    def source(self, name: Token, of: ast.Node, condition: ast.Node | None = None) -> ast.Source:
        return ast.Source(_at(name), str(name), of, condition)

    def let(self, token: Token, name: Token, sign: Token, value: ast.Node, _: Token, body: ast.Node) -> ast.Node:
        if sign != "=":
            raise Refused(f"`let` gives a name with `=`, as in `let {name} = (…) in (…)`.", _at(sign))
        return ast.Let(_at(token), str(name), value, body)

    def compared(self, left: ast.Node, sign: Token, right: ast.Node) -> ast.Node:
        return ast.Compared(_at(sign), sign.lower(), left, right)

    def occurs(self, of: ast.Node, token: Token, occurrence: ast.Occurrence) -> ast.Node:
        return ast.Occurs(_at(token), of, occurrence)

    def distance(self, sign: Token, count: Token, unit: Token, direction: Token, time: ast.Node) -> ast.Node:
        comparison: Any = str(sign)
        return ast.Distance(_at(sign), comparison, int(count[:MAX_DIGITS]), _unit(unit), _word(direction), time)

    def order(self, direction: Token, time: ast.Node) -> ast.Node:
        return ast.Order(_at(direction), _word(direction), time)

    def direction(self, token: Token) -> Token:
        return token

    def within(self, time: ast.Node) -> ast.Node:
        return ast.Within(time.at, time)

    def between(self, start: ast.Node, end: ast.Node) -> ast.Node:
        return ast.Between(start.at, start, end)

    def period(self, which: Token, unit: Token) -> ast.Node:
        return ast.Period(_at(which), which.lower(), _unit(unit))

    def arithmetic(self, first: ast.Node, *rest: Any) -> ast.Node:
        for sign, right in zip(rest[::2], rest[1::2], strict=True):
            first = ast.Arithmetic(_at(sign), str(sign), first, right)
        return first

    sum = product = arithmetic

    def negative(self, token: Token, of: ast.Node) -> ast.Node:
        if isinstance(of, ast.Constant) and isinstance(of.value, int | Decimal) and not isinstance(of.value, bool):
            return ast.Constant(_at(token), -of.value)
        return ast.Negative(_at(token), of)

    def member(self, of: ast.Node, name: Token) -> ast.Node:
        return ast.Member(_at(name), of, str(name))

    def method(self, of: ast.Node, name: Token, arguments: tuple[ast.Node, ...] | None) -> ast.Node:
        return ast.Method(_at(name), of, str(name), arguments or ())

    def filtered(self, of: ast.Node, bracket: Token, condition: ast.Node) -> ast.Node:
        return ast.Filter(_at(bracket), of, condition)

    def aggregated(self, function: Token, value: ast.Node, source: ast.Source) -> ast.Node:
        return ast.Aggregated(_at(function), function.lower(), value, source)

    def integer(self, token: Token) -> ast.Node:
        return ast.Constant(_at(token), int(_digits(token)))

    def double(self, token: Token) -> ast.Node:
        return ast.Constant(_at(token), Decimal(_digits(token)))

    def string(self, token: Token) -> ast.Node:
        return ast.Constant(_at(token), _string(token))

    def truth(self, token: Token) -> ast.Node:
        return ast.Constant(_at(token), token.lower() == "true")

    def moment(self, token: Token) -> ast.Node:
        return ast.Moment(_at(token), token.lower())

    def this(self, token: Token) -> ast.Node:
        return ast.This(_at(token))

    def position(self, token: Token) -> ast.Node:
        return ast.Position(_at(token), int(token[1:]))

    def outer(self, token: Token, name: Token) -> ast.Node:
        return ast.Outer(_at(token), len(token), str(name))

    def named(self, name: Token) -> ast.Node:
        return ast.Name(_at(name), str(name))

    def called(self, name: Token, arguments: tuple[ast.Node, ...] | None) -> ast.Node:
        return ast.Call(_at(name), str(name), arguments or ())

    def listed(self, token: Token, items: tuple[ast.Node, ...] | None) -> ast.Node:
        return ast.ListLiteral(_at(token), items or ())

    def object(self, token: Token, *entries: Any) -> ast.Node:
        return ast.ObjectLiteral(_at(token), tuple(entry for entry in entries if entry))

    def entry(self, key: Token, value: ast.Node) -> Any:
        return _string(key), value

    def chain(self, token: Token, of: ast.Node, order: ast.Node, _: Token, *steps: ast.Step) -> ast.Node:
        if len(steps) > MAX_CHAIN_STEPS:
            raise Refused(
                f"A chain has at most {MAX_CHAIN_STEPS} steps; this one has {len(steps)}.", steps[MAX_CHAIN_STEPS].at
            )
        return ast.Chain(_at(token), of, order, steps)

    def step(self, label: Token, condition: ast.Node, occurrence: ast.Occurrence | None = None) -> ast.Node:
        return ast.Step(_at(label), str(label), condition, occurrence)


def _at(token: Token) -> int:
    return token.start_pos or 0


def _word(token: Token) -> Any:
    return token.lower()


def _digits(token: Token) -> str:
    if len(token) > MAX_DIGITS:
        raise Refused(f"A number has at most {MAX_DIGITS} characters.", _at(token))
    return str(token)


_PARSER: Final = Lark(
    files(__package__).joinpath("pql.lark").read_text("utf-8"),
    parser="lalr",
    lexer="contextual",
    transformer=_Builder(),
)
