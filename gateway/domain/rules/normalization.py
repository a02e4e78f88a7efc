"""Normalization of identity values: which values are one identity, and which are placeholders that identify nobody.

Every xid is a hash of a normalized value, so the rules of a sandbox never change while it holds identities. The rules have a number, which
the sandbox stores (`Sandbox.text_rules`): a sandbox keeps the rules under which it was made; new or emptied ones have the newest.

    1   values as they are sent, or without blanks at their ends and in lower case
    2   also in Unicode's composed form (NFC); invisible characters are blanks; a whole number has one form, however it is written
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.domain.rules.text import ASCII_BLANKS, BLANKS, INVISIBLE, stripped

MAX_VALUE_CHARACTERS: Final = 1024
"""Of the value of an identity."""


class IdentityNormalization(StrEnum):
    """The way in which values of a namespace are normalized; fixed when the namespace is made."""

    EXACT = "EXACT"
    TRIM_LOWERCASE = "TRIM_LOWERCASE"
    E164 = "E164"

    __hash__ = str.__hash__  # enums are hashed in Python, and every identity of every document looks for its form


@dataclass(frozen=True)
class TextRules:
    """The text rules of one number: `forms` normalize a value, and `is_placeholder` recognizes placeholders.

    `has_whole_numbers`: a number that is sent as `12345.0` becomes `12345`. `forms_of_ascii` normalize a list of values that
    are all ASCII: faster than `forms`, with equal results. A way that they lack is left to `forms`.
    """

    forms: Mapping[IdentityNormalization, Callable[[str], str]]
    is_placeholder: Callable[[str], bool]
    has_whole_numbers: bool
    forms_of_ascii: Mapping[IdentityNormalization, Callable[[list[str]], list[str]]] = field(default_factory=dict)

    def normalized(self, normalization: IdentityNormalization, values: list[str]) -> list[str]:
        """Return the normalized form of each value, in their order."""
        of_ascii = self.forms_of_ascii.get(normalization)
        if of_ascii is not None and "".join(values).isascii():
            return of_ascii(values)
        return list(map(self.forms[normalization], values))

    def first_placeholder(self, values: list[str]) -> str | None:
        """Return the first of the values, as they were sent, that is a placeholder; None if there is none.

        Fast for values that cannot be one: with an `@`, or with a digit from 2 to 9 at the end.
        """
        suspects = [value for value in values if "@" not in value and value[-1:] not in _PLAIN_ENDS]
        return next(filter(self.is_placeholder, suspects), None) if suspects else None


# ------------------------------------------------------------------------------------------------ placeholders

_PLACEHOLDERS: Final = frozenset(
    {
        "null", "none", "nil", "nan", "undefined", "true", "false", "anonymous", "guest", "unknown", "not_authenticated",
        "id", "distinct_id", "distinctid", "email", "[object object]", "-1", "n/a",
    }
)  # fmt: skip
_LONGEST: Final = max(map(len, _PLACEHOLDERS))
_PLAIN_ENDS: Final = frozenset("23456789")
"""A value that ends with one of these is neither a placeholder nor zeros, nor quoted."""
_QUOTES: Final = "\"'`\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}"
_SPACES: Final = "".join(filter(str.isspace, map(chr, range(0x3001))))


_ZEROS: Final = re.compile("[0-]*")
_ZEROS_OF_NUMBERS: Final = re.compile(r"(?:\+0(?=0))?[0() -]*")
"""No country's number begins with a zero. `+0` alone may be anything."""
_ENDS_OF_ZEROS: Final = "0-() "


def _placeholder_test(wrapping: str, zeros: re.Pattern[str], hidden: str = "") -> Callable[[str], bool]:
    """Return a function that recognizes placeholders: empty values, `zeros`, `null`, `guest` …

    Upper and lower case, characters of `wrapping` at either end, and `hidden` characters anywhere make no difference.
    """
    ascii_wrapping = "".join(filter(str.isascii, wrapping))
    shown = str.maketrans("", "", hidden)

    def is_placeholder(value: str) -> bool:
        if "@" in value or value[-1:] in _PLAIN_ENDS:  # as in most e-mail addresses and numbers, and in none of these
            return False
        core = value.strip(ascii_wrapping) if value.isascii() else value.translate(shown).strip(wrapping)
        if core[-1:] in _ENDS_OF_ZEROS and zeros.fullmatch(core):  # most end otherwise
            return True
        return len(core) <= _LONGEST and core.lower() in _PLACEHOLDERS

    return is_placeholder


# ------------------------------------------------------------------------------------------------ forms

_DASHES: Final = "-\N{MINUS SIGN}" + "".join(map(chr, range(ord("\N{HYPHEN}"), ord("\N{HORIZONTAL BAR}") + 1)))
_PUNCTUATION: Final = str.maketrans("", "", f"{BLANKS}{_DASHES}()[]")
_INTERNATIONAL: Final = re.compile(r"\+[0-9]{8,15}")


def is_international(number: str) -> bool:
    """Return whether a phone number is in the form of E.164: `+` and 8 to 15 digits."""
    return _INTERNATIONAL.fullmatch(number) is not None


def _composed(value: str) -> str:
    return value if value.isascii() else unicodedata.normalize("NFC", value)


def _trimmed_lowercase(value: str) -> str:
    if value.isascii():
        return value.strip(ASCII_BLANKS).lower()
    return stripped(_composed(_composed(value).lower()))  # in lower case a text may no longer be composed


def _as_they_are(values: list[str]) -> list[str]:
    return values


def _all_trimmed_lowercase(values: list[str]) -> list[str]:
    return [value.strip(ASCII_BLANKS).lower() for value in values]


def _e164(value: str) -> str:
    """Return a phone number without blanks, dashes and brackets, and with `+` for `00`; any other value as it is, composed."""
    if is_international(value):
        return value
    digits = value.translate(_PUNCTUATION)
    number = f"+{digits[2:]}" if digits.startswith("00") else digits
    return number if is_international(number) else _composed(value)


# ------------------------------------------------------------------------------------------------ the rules by their numbers

RULES: Final[Mapping[int, TextRules]] = {
    1: TextRules(
        forms={
            IdentityNormalization.EXACT: str,
            IdentityNormalization.TRIM_LOWERCASE: lambda value: value.strip().lower(),
            IdentityNormalization.E164: _e164,
        },
        is_placeholder=_placeholder_test(_QUOTES + _SPACES, _ZEROS),
        has_whole_numbers=False,
    ),
    2: TextRules(
        forms={
            IdentityNormalization.EXACT: _composed,
            IdentityNormalization.TRIM_LOWERCASE: _trimmed_lowercase,
            IdentityNormalization.E164: _e164,
        },
        is_placeholder=_placeholder_test(_QUOTES + BLANKS, _ZEROS_OF_NUMBERS, INVISIBLE),
        has_whole_numbers=True,
        forms_of_ascii={
            IdentityNormalization.EXACT: _as_they_are,
            IdentityNormalization.TRIM_LOWERCASE: _all_trimmed_lowercase,
        },
    ),
}
NEWEST: Final = max(RULES)
