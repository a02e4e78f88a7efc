"""Other issuers of tokens as edges are told of them: edges fetch nothing, so that the hub does, again and again, and delivers the public keys."""

import asyncio
from collections.abc import Sequence
from typing import Final

from gateway.domain.edges.sandboxes import DeliveredIssuer
from gateway.server.issuers import IssuerKeys
from gateway.settings import TokenIssuer

REFETCH_SECONDS: Final = 60.0
"""How old the keys are, at most, that edges are told of while their issuer answers."""


class DeliveredIssuers:
    """The issuers of the settings, with the keys that were last fetched. Clocks may differ by `leeway` seconds."""

    def __init__(self, issuers: Sequence[TokenIssuer], leeway: float) -> None:
        self._leeway = leeway
        self._issuers = [(issuer, IssuerKeys(issuer)) for issuer in issuers]

    async def watch(self) -> None:
        """Fetch the keys again and again, until cancelled. An issuer that does not answer delays no other."""
        while self._issuers:
            await asyncio.gather(*(keys.refresh() for _, keys in self._issuers))
            await asyncio.sleep(REFETCH_SECONDS)

    def now(self) -> list[DeliveredIssuer]:
        """Return what edges are to know of the issuers now."""
        return [
            DeliveredIssuer(one.issuer, one.audience, one.algorithms, self._leeway, keys.published())
            for one, keys in self._issuers
        ]
