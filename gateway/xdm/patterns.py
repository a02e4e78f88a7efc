"""Regular expressions of fields: how much memory one takes once it is compiled, and the most that it may take.

Matching never backtracks: its time grows with the text and, at worst, with the size of the compiled pattern. Compiling takes about 10 ms for
a megabyte, in which the process does nothing else. So the size bounds all three.
"""

from bisect import bisect_left
from functools import lru_cache
from typing import Final

from jsonschema_rs import Draft7Validator, RegexOptions

MAX_LENGTH: Final = 1_000
"""Characters of a pattern."""

SIZES: Final[tuple[int, ...]] = tuple(2**bits for bits in range(12, 18))
"""Bytes that a compiled pattern is told to take: the least of these under which it compiles."""

MAX_COMPILED: Final = SIZES[-1]
"""Bytes that a compiled pattern may take."""

OPTIONS: Final = RegexOptions(size_limit=MAX_COMPILED, dfa_size_limit=2 * MAX_COMPILED)
"""How patterns are compiled; the second limit is of what matching keeps of each."""

REMEMBERED: Final = 2_000


def is_pattern(pattern: str) -> bool:
    """Whether it is a regular expression of those that may be used: without look-around and back-references, and not too large."""
    return len(pattern) <= MAX_LENGTH and _compiles(pattern, MAX_COMPILED)


@lru_cache(REMEMBERED)
def compiled_size(pattern: str) -> int:
    """About how many bytes a usable pattern takes once it is compiled."""
    place: int = bisect_left(SIZES[:-1], True, key=lambda size: _compiles(pattern, size))
    return SIZES[place]


@lru_cache(REMEMBERED)
def _compiles(pattern: str, size: int) -> bool:
    try:
        Draft7Validator({"pattern": pattern}, pattern_options=RegexOptions(size_limit=size))
    except ValueError:
        return False
    return True
