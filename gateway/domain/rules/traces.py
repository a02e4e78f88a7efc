"""Traces of values in text: whether a text that is stored or logged holds one of many values, however it is encoded there.

A value is looked for as it is, with its accents composed or apart, and as JSON writes it, with and without escapes of what is not ASCII; upper and lower case are the same. It counts
where it stands by itself, not inside a longer word. How long a look takes does not depend on how many values there are.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Final
from unicodedata import normalize

SHORT: Final = 6
"""A value of fewer characters counts only as a whole string: as a part of texts it would be found everywhere."""

_WORD: Final = re.compile(r"\w+")
_BLANK: Final = re.compile(r"\\[bfnrt]|\\u00[01][0-9a-f]|\s")


class SoughtValues:
    """Values to be looked for in texts. A look compares only those values whose rarest word stands in the text."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values for form in _forms(value) if form}
        uses = Counter(word for form in forms for word in set(_WORD.findall(form)))
        self._by_word, self._wordless = defaultdict[str, list[str]](list), list[str]()
        for form in forms:
            if words := _WORD.findall(form):
                self._by_word[min(words, key=lambda word: (uses[word], -len(word)))].append(form)
            else:
                self._wordless.append(form)
        self.longest = max(map(len, forms), default=0)

    def are_in(self, text: str) -> bool:
        """Return whether one of the values stands in the text."""
        text = _plain(text)
        words = self._by_word.keys() & set(_WORD.findall(text))
        near = (form for word in words for form in self._by_word[word])
        return any(_holds(text, form) for form in (*near, *self._wordless))


def _forms(value: str) -> Iterator[str]:
    for spelling in {value, normalize("NFC", value), normalize("NFD", value)}:
        yield _plain(spelling)
        yield _plain(json.dumps(spelling, ensure_ascii=False)[1:-1])
        yield _plain(json.dumps(spelling)[1:-1])


def _plain(text: str) -> str:
    """Return the text in lower case, with a space in place of each blank, also of one that JSON escapes."""
    return _BLANK.sub(" ", text.lower())


def _holds(text: str, form: str) -> bool:
    """Return whether the form stands in the text by itself."""
    place = text.find(form)
    while place >= 0:
        before, after = text[:place][-1:], text[place + len(form) :][:1]
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
