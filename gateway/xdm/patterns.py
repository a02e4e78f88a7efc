"""Regular expressions of fields: the memory that one takes when it is compiled, and its limit.

Matching never backtracks: its time grows with the text and, at worst, with the size of the compiled pattern. Compiling takes about 10 ms for
a megabyte, during which the process does nothing else. So a limit on the size bounds memory and both times.
"""

from bisect import bisect_left
from functools import lru_cache
from typing import Final

from jsonschema_rs import Draft7Validator, RegexOptions

MAX_PATTERN_LENGTH: Final = 1_000
"""Characters of a pattern."""

SIZES: Final[tuple[int, ...]] = tuple(2**bits for bits in range(12, 18))
"""Sizes in bytes that are tried: the size of a compiled pattern is taken to be the least of these under which it compiles."""

MAX_COMPILED_BYTES: Final = SIZES[-1]
"""Bytes of a compiled pattern."""

OPTIONS: Final = RegexOptions(size_limit=MAX_COMPILED_BYTES, dfa_size_limit=2 * MAX_COMPILED_BYTES)
"""Limits under which patterns are compiled; the second bounds the cache that matching has for each."""

MAX_CACHED_PATTERNS: Final = 2_000


def is_pattern(pattern: str) -> bool:
    """Return whether the text is an allowed regular expression: without look-around and back-references, and not too large."""
    return len(pattern) <= MAX_PATTERN_LENGTH and _compiles(pattern, MAX_COMPILED_BYTES)


@lru_cache(MAX_CACHED_PATTERNS)
def compiled_size(pattern: str) -> int:
    """Return about how many bytes an allowed pattern takes when it is compiled."""
    index: int = bisect_left(SIZES[:-1], True, key=lambda size: _compiles(pattern, size))
    return SIZES[index]


@lru_cache(MAX_CACHED_PATTERNS)
def _compiles(pattern: str, size: int) -> bool:
    try:
        Draft7Validator({"pattern": pattern}, pattern_options=RegexOptions(size_limit=size))
    except ValueError:
        return False
    return True
