"""The cache of validators of this process, limited by the memory that they take."""

from collections import OrderedDict
from typing import Final
from uuid import UUID

from gateway.xdm.fields import Field
from gateway.xdm.validation import Validator, weight

MAX_CACHED_BYTES: Final = 256 * 1024 * 1024
"""The limit of all validators together, by the estimate `weight`. One of a small schema takes a megabyte or two."""

Key = tuple[UUID, int]
"""The id of a schema and its version."""


class Validators:
    """A cache of validators by schema and version. Beyond `size` bytes the least recently used ones are dropped, and made again if needed."""

    def __init__(self, size: int = MAX_CACHED_BYTES) -> None:
        self._size = size
        self._kept: OrderedDict[Key, tuple[Validator, int]] = OrderedDict()
        self._weight = 0

    def of(self, key: Key, schema: Field) -> Validator:
        """Return the validator of a version of a schema, cached or new. It compiles at first use."""
        if key not in self._kept:
            self._kept[key] = made = Validator(schema), weight(schema)
            self._weight += made[1]
            while self._weight > self._size and len(self._kept) > 1:
                _, (_, freed) = self._kept.popitem(last=False)
                self._weight -= freed
        self._kept.move_to_end(key)
        return self._kept[key][0]


VALIDATORS: Final = Validators()
"""The one cache of this process."""
