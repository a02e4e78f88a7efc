"""Regular expressions: the dialect that Java and Postgres share, rewritten so that it means in Postgres what it means in Java.

    written             means here, as in Java                                   rewritten
    .                   any character but the end of a line; with `(?s)` any     a class
    ^  $                the beginning and the end; `$` also before a last line end
    \\d \\w \\s \\D \\W \\S   ASCII digits, letters, digits and `_`, blanks             classes
    \\b \\B               the edge of a word                                       \\y \\Y
    (?i) (?s)           at the beginning: ASCII letters alike, `.` is any character
    (…) (?:…) (?=…) (?!…) (?<=…) (?<!…) | * + ? {n,m} and *? +? ?? {n,m}? [a-z^] \\1 \\t \\n \\r \\f \\xhh \\uhhhh, escaped signs

Everything else is refused: it would mean something else in one of the two.
"""

import re
from dataclasses import dataclass, field
from typing import Final

MAX_REGEX_LENGTH: Final = 1_000
"""Characters of a regular expression."""
MAX_REGEX_SIZE: Final = 2_000
"""Characters and classes of a regular expression, those in repetitions as often as they must be looked for."""
MAX_REPETITIONS: Final = 255
"""Repetitions that a regular expression may ask for."""

_LINE_ENDS: Final = "\\n\\r\\u0085\\u2028\\u2029"
_SHORTHANDS: Final = {"d": "0-9", "w": "A-Za-z0-9_", "s": " \\t\\n\\u000B\\f\\r"}
_CONTROLS: Final = {"t": "\\t", "n": "\\n", "r": "\\r", "f": "\\f"}
_ANCHORS: Final = {"b": "\\y", "B": "\\Y", "A": "\\A", "z": "\\Z"}
_END: Final = f"(?=(?:\\r\\n|[{_LINE_ENDS}])?\\Z)"
_QUANTIFIER: Final = re.compile(r"[*+?]|\{(\d{1,4})(?:(,)(\d{1,4})?)?\}")
_FLAGS: Final = re.compile(r"\(\?([a-zA-Z]+)\)")
_CODE: Final = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})")
_OPENINGS: Final = ("(?:", "(?=", "(?!", "(?<=", "(?<!")


class PatternRefused(Exception):
    """A regular expression is outside the dialect; the message says why."""


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression as Postgres reads it, how many groups it has, and whether what a group holds is the same in Java."""

    pattern: str
    groups: int
    is_settled: bool


def like_fault(pattern: str) -> str | None:
    """Return what is wrong with a pattern of `like`; None if it is one."""
    rest = re.sub(r"\\.", "", pattern, flags=re.DOTALL)
    return "The pattern ends with a single backslash; `\\\\\\\\` is a backslash in it." if "\\" in rest else None


def regex(pattern: str) -> Regex:
    """Return a regular expression for Postgres. Raises PatternRefused."""
    if len(pattern) > MAX_REGEX_LENGTH:
        raise PatternRefused(f"A regular expression has at most {MAX_REGEX_LENGTH:,} characters.")
    return _Reader(pattern).read()


@dataclass(slots=True)
class _Group:
    """An open group: whether it looks around, and behind, and what is in it so far."""

    opening: str
    size: int = 0
    number: int | None = None
    last: int = 0
    """The size of what a quantifier would repeat; 0 where there is nothing."""

    @property
    def looks_behind(self) -> bool:
        return self.opening in ("(?<=", "(?<!")

    @property
    def looks_around(self) -> bool:
        return self.looks_behind or self.opening in ("(?=", "(?!")


@dataclass(slots=True)
class _Reader:
    """Reads a pattern from left to right, and writes it anew."""

    text: str
    place: int = 0
    out: list[str] = field(default_factory=list)
    open: list[_Group] = field(default_factory=lambda: [_Group("")])
    groups: int = 0
    closed: set[int] = field(default_factory=set)
    dots: str = f"[^{_LINE_ENDS}]"
    is_settled: bool = True

    def read(self) -> Regex:
        self._flags()
        while self.place < len(self.text):
            self._part()
            if sum(group.size for group in self.open) > MAX_REGEX_SIZE:
                raise PatternRefused(
                    f"The regular expression is too large: repetitions counted, at most {MAX_REGEX_SIZE:,} characters."
                )
        if len(self.open) > 1:
            raise PatternRefused("A `(` is not closed in the regular expression.")
        return Regex("".join(self.out), self.groups, self.is_settled)

    def _flags(self) -> None:
        """Read flags at the beginning."""
        if found := _FLAGS.match(self.text):
            if set(found[1]) - {"i", "s"}:
                raise PatternRefused(f"The flags of a regular expression are `i` and `s`, not `{found[1]}`.")
            if "s" in found[1]:
                self.dots = "."
            if "i" in found[1]:
                self.out.append("(?i)")
            self.place = found.end()

    def _part(self) -> None:
        """Read what comes next."""
        sign = self.text[self.place]
        match sign:
            case "\\":
                self._escape()
            case "[":
                self._class()
            case "(":
                self._opening()
            case ")":
                self._closing()
            case "|":
                self._write("|", 1, atom=0)
                self.is_settled = False
            case "^":
                self._write("^", 1, atom=0)
            case "$":
                self._write(_END, 1, atom=0)
            case ".":
                self._write(self.dots, 1, atom=1)
            case "*" | "+" | "?" | "{":
                self._quantifier()
            case _:
                self._write(re.sub(r"([\]}])", r"\\\1", sign), 1, atom=1)

    def _write(self, text: str, length: int, *, atom: int) -> None:
        """Write a part that is `length` characters long where it was read, and what a quantifier behind it would repeat."""
        self.out.append(text)
        self.place += length
        self.open[-1].size += atom
        self.open[-1].last = atom

    def _opening(self) -> None:
        opening = next((each for each in _OPENINGS if self.text.startswith(each, self.place)), "(")
        if opening == "(" and self.text.startswith("(?", self.place):
            raise PatternRefused(
                f"A regular expression has no `{self.text[self.place : self.place + 3]}`: groups have no names, and flags stand at its beginning."
            )
        group = _Group(opening)
        if opening == "(":
            if any(each.looks_around for each in self.open):
                raise PatternRefused("A group inside a look-around is written `(?:…)`.")
            self.groups += 1
            group.number = self.groups
        self._write(opening, len(opening), atom=0)
        self.open.append(group)

    def _closing(self) -> None:
        if len(self.open) == 1:
            raise PatternRefused("A `)` closes nothing in the regular expression.")
        group = self.open.pop()
        if group.number is not None:
            self.closed.add(group.number)
        self._write(")", 1, atom=0 if group.looks_around else group.size + 1)

    def _quantifier(self) -> None:
        found = _QUANTIFIER.match(self.text, self.place)
        if not found:
            raise PatternRefused("A `{` that is no repetition such as `{2,4}` is written `\\\\{` in a string.")
        group = self.open[-1]
        if not group.last:
            raise PatternRefused(f"There is nothing before `{found[0]}` that it could repeat.")
        least, comma, most = found.groups()
        count = max(int(least or 1), int(most or 1))
        if count > MAX_REPETITIONS or (most and int(most) < int(least)):
            raise PatternRefused(f"A repetition is of 0 to {MAX_REPETITIONS} times, the smaller number first.")
        is_open = found[0] in "*+" or (comma and not most)
        if is_open and any(each.looks_behind for each in self.open):
            raise PatternRefused("What looks behind has no `*`, `+` or `{n,}` in it.")
        follower = self.text[found.end() : found.end() + 1]
        if follower == "+":
            raise PatternRefused("A regular expression has no possessive repetitions such as `*+`.")
        lazy = follower == "?"
        if lazy and any(each.looks_behind for each in self.open):
            raise PatternRefused("What looks behind has no lazy repetitions such as `*?`.")
        self.is_settled = self.is_settled and not lazy
        group.size += group.last * (count - 1)
        self._write(found[0] + "?" * lazy, len(found[0]) + lazy, atom=0)

    # -------------------------------------------------------------------------------------------- escapes and classes

    def _escape(self) -> None:
        sign = self.text[self.place + 1 : self.place + 2]
        if code := _CODE.match(self.text, self.place + 1):
            self._write(_code(code), len(code[0]) + 1, atom=1)
        elif sign in _ANCHORS:
            self._write(_ANCHORS[sign], 2, atom=0)
        elif sign == "Z":
            self._write(_END, 2, atom=0)
        elif sign.lower() in _SHORTHANDS:
            self._write(f"[{'^' if sign.isupper() else ''}{_SHORTHANDS[sign.lower()]}]", 2, atom=1)
        elif sign in _CONTROLS:
            self._write(_CONTROLS[sign], 2, atom=1)
        elif sign in "123456789" and sign:
            self._reference(int(sign))
        elif sign and not sign.isalnum() and sign.isascii():
            self._write(f"\\{sign}" if sign != "_" else "_", 2, atom=1)
        else:
            raise PatternRefused(f"A regular expression has no `\\{sign}` here.")

    def _reference(self, number: int) -> None:
        if self.text[self.place + 2 : self.place + 3].isdigit() or number not in self.closed:
            raise PatternRefused(f"`\\{number}` refers to no group that stands before it.")
        if any(each.looks_around for each in self.open):
            raise PatternRefused("A look-around refers to no group.")
        self._write(f"\\{number}", 2, atom=1)

    def _class(self) -> None:
        """Read a class of characters, such as `[a-z_]`."""
        place, out = self.place + 1, ["["]
        if self.text.startswith("^", place):
            place, out = place + 1, ["[^"]
        members: list[str | None] = []
        while not self.text.startswith("]", place) or not members:
            member, text, length = self._member(place)
            if text == "-" and members and not self.text.startswith("]", place + 1):
                member, text, length = self._range_end(members[-1], place)
            out.append(text)
            members.append(member)
            place += length
        self._write("".join(out) + "]", place + 1 - self.place, atom=1)

    def _range_end(self, start: str | None, place: int) -> tuple[str | None, str, int]:
        """Read the rest of a range from its hyphen on."""
        end, text, length = self._member(place + 1)
        if start is None or end is None or start > end:
            raise PatternRefused("A range in a class goes from one character to a later one, as in `[a-z]`.")
        return None, f"-{text}", length + 1

    def _member(self, place: int) -> tuple[str | None, str, int]:
        """Read a member of a class: the character, None for several; how it is written; how long it was."""
        sign = self.text[place : place + 1]
        if not sign:
            raise PatternRefused("A `[` is not closed in the regular expression.")
        if sign in "[]" or self.text.startswith("&&", place):
            raise PatternRefused(f"In a class, `{sign}` is written with a backslash before it.")
        if sign != "\\":
            return sign, "\\^" if sign == "^" else sign, 1
        sign = self.text[place + 1 : place + 2]
        if code := _CODE.match(self.text, place + 1):
            return chr(int(code[1] or code[2], 16)), _code(code), len(code[0]) + 1
        if sign in _SHORTHANDS:
            return None, _SHORTHANDS[sign], 2
        if sign in _CONTROLS:
            return _CONTROLS[sign].encode().decode("unicode_escape"), _CONTROLS[sign], 2
        if sign and not sign.isalnum() and sign.isascii():
            return sign, f"\\{sign}" if sign != "_" else sign, 2
        raise PatternRefused(f"A class has no `\\{sign}`.")


def _code(found: re.Match[str]) -> str:
    """Return a character that is written by its number, as Postgres writes it."""
    number = int(found[1] or found[2], 16)
    if number == 0 or 0xD800 <= number < 0xE000:
        raise PatternRefused("A regular expression has no NUL character and no half of a character.")
    return f"\\u{number:04x}"
