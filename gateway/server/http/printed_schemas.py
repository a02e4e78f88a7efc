"""Schemas printed as SDL, cached by sandbox and version of its configuration: to print one takes a tenth of a second."""

import asyncio
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

    def cached(self, config: Configuration | None) -> str | None:
        """Return the SDL of a sandbox, or of a new one for None; None if it has to be printed first."""
        return self._texts.get(_key(config))

    async def print(self, config: Configuration | None) -> str:
        """Return the SDL of a sandbox, printed in a thread unless it is cached. Limit the number of concurrent calls."""
        text = self.cached(config)
        if text is None:
            text = await asyncio.to_thread(print_sdl, config)
            self._texts.put(_key(config), text)
        return text


def _key(config: Configuration | None) -> _Key:
    return (config.sandbox_id, config.version) if config is not None else None
