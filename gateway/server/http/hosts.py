"""Host names that requests may use: a page that points its own name at our address (DNS rebinding) is refused."""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from gateway.server.http.negotiation import MAX_CACHED

FOR_OPERATORS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that probes and scrapers call by address. Their responses name no person."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^][:/@?#\s]+)(?::\d*)?", re.IGNORECASE)


class HostNames:
    """The names of this server, without ports: `*.example.com` stands for all names below that one, `*` for all names."""

    def __init__(self, names: Collection[str]) -> None:
        self._takes_any = "*" in names
        self._names = frozenset(name.lower() for name in names)
        self._below = tuple(name[1:] for name in self._names if name.startswith("*."))
        self._is_ours = lru_cache(MAX_CACHED)(self._is_among_them)

    def __contains__(self, host: str | None) -> bool:
        """Return whether the value of a Host header, None if there is none, is one of the names."""
        return self._takes_any or self._is_ours(host)

    def _is_among_them(self, host: str | None) -> bool:
        matched = _HOST.fullmatch(host or "")
        if matched is None:
            return False
        name = matched[1].lower().removesuffix(".")
        return name in self._names or name.endswith(self._below)
