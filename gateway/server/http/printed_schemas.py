"""Schemas printed as SDL: to print one takes a tenth of a second of the interpreter, so it is done for each version of a sandbox once."""

import asyncio
from collections import OrderedDict
from typing import Final, TypeAlias

from gateway.api.schema import print_sdl
from gateway.domain.config.configuration import Configuration

KEPT: Final = 16
"""Texts that are kept, of some 200 kB each."""

_Key: TypeAlias = tuple[int, int] | None


class PrintedSchemas:
    """The SDL of the sandboxes that were asked for last."""

    def __init__(self) -> None:
        self._texts = OrderedDict[_Key, str]()

    def kept(self, config: Configuration | None) -> str | None:
        """The SDL of a sandbox, of a new one for None; None if it is to be printed first."""
        text = self._texts.get(_key(config))
        if text is not None:
            self._texts.move_to_end(_key(config))
        return text

    async def print(self, config: Configuration | None) -> str:
        """The SDL of a sandbox, printed beside the event loop unless another caller had it printed meanwhile. Call it a few at a time."""
        text = self.kept(config)
        if text is None:
            text = self._texts[_key(config)] = await asyncio.to_thread(print_sdl, config)
            if len(self._texts) > KEPT:
                self._texts.popitem(last=False)
        return text


def _key(config: Configuration | None) -> _Key:
    return (config.sandbox_id, config.version) if config is not None else None
