"""The validators that this process keeps: as many as fit into a fixed amount of memory, those used last."""

from collections import OrderedDict
from typing import Final
from uuid import UUID

from gateway.xdm.fields import Field
from gateway.xdm.validation import Validator, weight

MAX_KEPT: Final = 256 * 1024 * 1024
"""Bytes that validators may take, as `weight` tells them. A small schema's take a megabyte or two."""

Key = tuple[UUID, int]
"""A schema and its version."""


class Validators:
    """Validators by schema and version; beyond `size` bytes the one that was away for longest is forgotten, and compiled anew if needed."""

    def __init__(self, size: int = MAX_KEPT) -> None:
        self._size = size
        self._kept: OrderedDict[Key, tuple[Validator, int]] = OrderedDict()
        self._weight = 0

    def of(self, key: Key, schema: Field) -> Validator:
        """The validator of a version of a schema, compiled when it is first used."""
        if key not in self._kept:
            self._kept[key] = made = Validator(schema), weight(schema)
            self._weight += made[1]
            while self._weight > self._size and len(self._kept) > 1:
                _, (_, freed) = self._kept.popitem(last=False)
                self._weight -= freed
        self._kept.move_to_end(key)
        return self._kept[key][0]


VALIDATORS: Final = Validators()
"""Those of the process."""
