"""Sentences for texts that the grammar does not let pass: what stands there, what could, and what was probably meant."""

import re
from collections.abc import Collection
from typing import Final, cast

from lark import UnexpectedCharacters, UnexpectedToken

from gateway.pql.problems import Refused

_WORDS: Final = {
    "a value": {"INTEGER", "STRING"},
    "an operator": {"COMPARISON", "SUM_SIGN", "_AND"},
    "a comparison such as `=`": {"COMPARISON"},
    "`and`": {"_AND"},
    "`before`, `after` or `from`": {"BEFORE"},
    "a whole number": {"INTEGER"},
    "a string in double quotes": {"STRING"},
    "a unit of time such as `days`": {"UNIT"},
    "`from`": {"_FROM"},
    "`where`": {"_WHERE"},
    "`over`": {"_OVER"},
    "`in`": {"IN"},
    "`WHAT(`": {"_WHAT"},
    "`[`": {"BRACKET"},
    "a name": {"NAME"},
    "`=>`": {"__ANON_0"},
    "`:`": {"COLON"},
    "`,`": {"COMMA"},
    "`)`": {"RPAR"},
    "`]`": {"RSQB"},
    "`}`": {"RBRACE"},
    "the end": {"$END"},
}
"""Words for what may stand at a place, and the terminals that must be possible there for it; a terminal is put in words once."""

_IMPLIED: Final = {
    "a value": {"INTEGER", "STRING", "NAME", "BRACKET", "BRACE", "COMPARISON"},
    "an operator": {
        "COMPARISON",
        "SUM_SIGN",
        "PRODUCT_SIGN",
        "IN",
        "NOT_IN",
        "LIKE",
        "OCCURS",
        "_AND",
        "_OR",
        "BRACKET",
    },
    "`before`, `after` or `from`": {"BEFORE", "AFTER", "_FROM"},
}
"""Terminals that these words speak of as well."""

_SLIPS: Final = (
    (re.compile(r"==+"), "equality is written with one `=`"),
    (re.compile(r"<>|=!"), "that two values differ is written with `!=`"),
    (
        re.compile(r"=>"),
        "a lambda has its parameters in parentheses, as in `(X) => …`, and `>=` is how greater or equal is written",
    ),
    (re.compile(r"=<"), "the sign of equality comes last, as in `<=` and `>=`"),
    (re.compile(r"&&?"), "conditions are joined by `and`"),
    (re.compile(r"\|\|?"), "conditions are joined by `or`"),
    (re.compile(r"'"), "a string stands in double quotes"),
    (re.compile(r"[“”„«»]"), 'a string stands in plain double quotes, `"`'),
    (re.compile(r"\?"), "a choice is written `if(condition, value, other)`"),
    (re.compile(r"\$"), "inputs are counted from `$1`"),
    (
        re.compile(r"(?:is\s+not|is)\s+null(?!\w)", re.IGNORECASE),
        "whether a value is there is asked by `.isNull()` and `.isNotNull()`",
    ),
    (re.compile(r"not\s+in(?!\w)", re.IGNORECASE), "it is one word, `notIn`"),
)
"""Habits of other languages, and how it is written here."""

_UNIT = r"(?:second|minute|hour|day|week|month|year)s?(?!\w)"
_DISTANCE: Final = "A distance of time stands behind `occurs`, as in `timestamp occurs < 30 days before now`."
_HABITS: Final = tuple(
    (re.compile(rf"{before}\s*$", re.IGNORECASE), re.compile(there, re.IGNORECASE), hint)
    for before, there, hint in (
        ("", rf"\d+\s+{_UNIT}", _DISTANCE),
        (r"\d", _UNIT, _DISTANCE),
        (_UNIT, r"ago(?!\w)", _DISTANCE),
        (r"(?<!\w)(?:and|or)", r"\w", "`and` and `or` stand between two conditions."),
        (r"(?<!\w)in\s*\([^()]*", ",", 'A list stands in brackets, as in `["a", "b"]`.'),
        (r"^\s*select", r"\*", 'A search is the condition alone, as in `person.name.lastName = "Li"`.'),
    )
)
"""What stands before a place and there, of those who are used to other languages, and how it is said here."""

_MAX_SHOWN: Final = 30


def unexpected(text: str, error: UnexpectedToken | UnexpectedCharacters) -> Refused:
    """Return what is wrong with a text at the place at which the grammar lets nothing pass."""
    at = len(text.rstrip()) if _is_end(error) else cast("int", error.pos_in_stream)
    if at >= len(text.rstrip()):
        return Refused(f"The expression ends too early. Expected {_list(error)}.", at)
    if slip := _slip(text, at):
        return slip
    found = re.compile(r"\w+|[^\w\s]").match(text, at)
    shown = found[0][:_MAX_SHOWN] if found else text[at]
    if shown == '"':
        return Refused(
            'The string that begins here has no end on its line. A `"` inside a string is written `\\"`.', at
        )
    if isinstance(error, UnexpectedCharacters):
        return Refused(f"`{shown}` means nothing here.", at)
    return Refused(f"Expected {_list(error)}, found `{shown}`.{_habit(text, at) or _hint(error)}", at)


def _habit(text: str, at: int) -> str:
    """Return a sentence about what stands around the place, if that is how it is said in other languages."""
    return next(
        (f" {hint}" for before, there, hint in _HABITS if before.search(text, 0, at) and there.match(text, at)), ""
    )


def _is_end(error: UnexpectedToken | UnexpectedCharacters) -> bool:
    return isinstance(error, UnexpectedToken) and error.token.type == "$END"


def _slip(text: str, at: int) -> Refused | None:
    """Return the habit of another language that the place belongs to, if there is one."""
    for start in (at, at - 1):
        for sign, message in _SLIPS:
            found = sign.match(text, max(start, 0))
            if found and found.end() > at:
                return Refused(f"`{found[0]}` is not PQL: {message}.", found.start())
    return None


def _expected(error: UnexpectedToken | UnexpectedCharacters) -> Collection[str]:
    return set(error.accepts or error.expected) if isinstance(error, UnexpectedToken) else set(error.allowed or ())


def _list(error: UnexpectedToken | UnexpectedCharacters) -> str:
    """Return what the grammar lets pass at the place, in words."""
    possible, words = set(_expected(error)), []
    for word, needed in _WORDS.items():
        if needed <= possible:
            words.append(word)
            possible -= _IMPLIED.get(word, needed)
    return " or ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else (words or ["something else"])[0]


def _hint(error: UnexpectedToken | UnexpectedCharacters) -> str:
    """Return a sentence about a word of the language that stands where a name is expected."""
    if not isinstance(error, UnexpectedToken) or error.token.type == "NAME" or "NAME" not in _expected(error):
        return ""
    if re.fullmatch(r"[A-Za-z]+", error.token):
        return f" A field that is called like a word of the language stands in backticks: `` `{error.token}` ``."
    return ""
