"""Schemas printed as SDL, cached by sandbox and version of its configuration: to print one takes a tenth of a second."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeAlias

from gateway.api.schema import print_sdl
from gateway.domain.config.configuration import Configuration
from gateway.runtime.cache import WeightedCache

MAX_CACHED_SCHEMAS: Final = 16
"""Of some 200 kB each."""

_Key: TypeAlias = tuple[int, int] | None


class PrintedSchemas:
    """The SDL of the sandboxes that were requested last."""

    def __init__(self) -> None:
        self._texts: WeightedCache[_Key, str] = WeightedCache(MAX_CACHED_SCHEMAS)

    async def read(self, config: Configuration | None, place: AbstractAsyncContextManager[None]) -> str:
        """Return the SDL of a sandbox, or of a new one for None. It is printed in a thread at `place`, unless it is cached."""
        key = (config.sandbox_id, config.version) if config is not None else None
        if (text := self._texts.get(key)) is not None:
            return text
        async with place:
            if (text := self._texts.get(key)) is None:
                text = await asyncio.to_thread(print_sdl, config)
                self._texts.put(key, text)
        return text
