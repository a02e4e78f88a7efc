"""Traces of values in text: whether a text that is stored or logged holds one of many values, however it is encoded there.

Texts and values are brought to one form: without JSON's escapes, however often these were escaped again, blanks as spaces, accents composed, upper
and lower case the same. A value counts where it stands by itself, not inside a longer word. How long a look takes does not depend on how many values there are.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final
from unicodedata import normalize

SHORT: Final = 6
"""A value of fewer characters counts only as a whole string: as a part of texts it would be found everywhere."""

ESCAPED: Final = 24
"""How many characters one may take where it is escaped: two halves of `\\\\uXXXX`, escaped again."""

FEW_WORDS: Final = 20
"""So many are looked for in a text one by one: that takes a twentieth of the time of taking the text apart."""

_WORD: Final = re.compile(r"\w+")
_CODES: Final = re.compile(r"(?:\\+u[0-9a-fA-F]{4})+")
_BLANK: Final = re.compile(r"\\+[bfnrt]|[\s\b]")


class SoughtValues:
    """Values to be looked for in texts. A look compares only those values whose rarest word stands in the text.

    `reach`: how many characters of a text one of them may take.
    """

    def __init__(self, values: Iterable[str]) -> None:
        forms = set(filter(None, map(_plain, values)))
        uses = Counter(word for form in forms for word in set(_WORD.findall(form)))
        self._by_word, self._wordless = defaultdict[str, list[str]](list), list[str]()
        for form in forms:
            if words := _WORD.findall(form):
                self._by_word[min(words, key=lambda word: (uses[word], -len(word)))].append(form)
            else:
                self._wordless.append(form)
        self.reach = ESCAPED * max(map(len, forms), default=0)

    def are_in(self, text: str) -> bool:
        """Return whether one of the values stands in the text."""
        if self._are_absent(text):
            return False
        text = _plain(text)
        words = self._by_word.keys() & set(_WORD.findall(text))
        near = (form for word in words for form in self._by_word[word])
        return any(_holds(text, form) for form in (*near, *self._wordless))

    def _are_absent(self, text: str) -> bool:
        """Return whether it is plain at first sight that none of the values stands in the text: it has no escapes, and no word of theirs."""
        if self._wordless or len(self._by_word) > FEW_WORDS or "\\" in text or not text.isascii():
            return False
        text = text.casefold()
        return not any(word in text for word in self._by_word)


def _plain(text: str) -> str:
    """Return the text in the one form in which texts and values are compared."""
    text = _BLANK.sub(" ", _CODES.sub(_unescaped, text)).replace("\\", "").casefold()
    return text if text.isascii() else normalize("NFC", text)


def _unescaped(codes: re.Match[str]) -> str:
    digits = codes[0].replace("\\", "").replace("u", "")
    return bytes.fromhex(digits).decode("utf-16-be", "replace")


def _holds(text: str, form: str) -> bool:
    """Return whether the form stands in the text by itself."""
    place = text.find(form)
    while place >= 0:
        end = place + len(form)
        before, after = text[max(place - 1, 0) : place], text[end : end + 1]
        if len(form) < SHORT:
            if before in {"", '"'} and after in {"", '"'}:
                return True
        elif not (_is_inside(before, form[0]) or _is_inside(after, form[-1])):
            return True
        place = text.find(form, place + 1)
    return False


def _is_inside(beside: str, end: str) -> bool:
    """Return whether a word goes on beside this end of a form."""
    return bool(_WORD.match(beside) and _WORD.match(end))
