"""Modules that are imported when something in them is first used: a command starts without what it may never need.

    if TYPE_CHECKING:
        from gateway.pql import check
    else:
        check = late("gateway.pql.check")

Readers, the type checker and the import contracts see an ordinary import. For modules alone that take long to import, and only where a process
that never needs them is to start quickly: who serves requests imports them elsewhere, before the first request.
"""

from importlib import import_module
from typing import Any


class Late:
    """Stands for the module of this name, and imports it when it is first asked for something."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


def late(name: str) -> Any:
    """Return what stands for the module of this name."""
    return Late(name)
