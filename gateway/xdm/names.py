"""Field names as GraphQL names.

GraphQL allows letters, digits and `_`. Any other character becomes `_`, a leading digit gets `_` before it, and the
names on which GraphQL clients normalize their caches (`id`, `_id`) get `_` behind them: two people that share a
measure's `id` must not become one object in a browser. The stored document keeps the field's own name; a generated
field has it as its key, and no two names of one object may have one GraphQL name (`collisions`).
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

MAX_SUGGESTIONS: Final = 3
"""Names that are suggested for one that is unknown."""

_MAX_COMPARED: Final = 255
_FORBIDDEN = re.compile(r"[^_0-9A-Za-z]")
_CACHE_KEYS = frozenset({"id", "_id"})


def graphql_name(key: str) -> str:
    """Return the GraphQL name of a field; it depends on nothing but the key."""
    name = _FORBIDDEN.sub("_", key)
    if name[:1].isdigit():
        name = "_" + name
    return name + "_" if name in _CACHE_KEYS else name


def collisions(keys: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs (later, earlier) of keys that have one GraphQL name."""
    owners: dict[str, str] = {}
    found = []
    for key in keys:
        owner = owners.setdefault(graphql_name(key), key)
        if owner != key:
            found.append((key, owner))
    return found


def pascal_case(key: str) -> str:
    """Return the key as a part of a type name: `webPageDetails` -> `WebPageDetails`, `_acme` -> `Acme`."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^0-9A-Za-z]+", key))


def similar_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that are most like one, upper and lower case aside: at most three, the best first."""
    by_form = {other.casefold(): other for other in known}
    return [by_form[form] for form in get_close_matches(name[:_MAX_COMPARED].casefold(), by_form, MAX_SUGGESTIONS)]
