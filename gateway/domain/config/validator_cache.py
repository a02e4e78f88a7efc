"""The cache of validators of this process, limited by the memory that they take."""

from typing import Final
from uuid import UUID

from gateway.runtime.cache import WeightedCache
from gateway.xdm.fields import Field
from gateway.xdm.validation import Validator, weight

MAX_CACHED_BYTES: Final = 256 * 1024 * 1024
"""The limit of all validators together, by the estimate `weight`. One of a small schema takes a megabyte or two."""

Key = tuple[UUID, int]
"""The id of a schema and its version."""


class Validators:
    """A cache of validators by schema and version. Beyond `size` bytes the least recently used ones are dropped, and made again if needed."""

    def __init__(self, size: int = MAX_CACHED_BYTES) -> None:
        self._size, self._cache = size, WeightedCache[Key, Validator](size)

    def of(self, key: Key, schema: Field) -> Validator:
        """Return the validator of a version of a schema, cached or new. It compiles at first use."""
        validator = self._cache.get(key)
        if validator is None:
            validator = Validator(schema)
            self._cache.put(key, validator, min(weight(schema), self._size))  # a larger one is cached alone
        return validator


VALIDATORS: Final = Validators()
"""The one cache of this process."""
