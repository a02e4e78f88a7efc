"""The GraphQL schema of each sandbox, made when its configuration is first met and kept while it is in use.

Sandboxes with the same unions share one schema: most have only the standard fields. Making one runs in a thread, so that a sandbox with
thousands of custom fields does not hold up the others.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, Final

import orjson
from graphql import GraphQLSchema

from gateway.api.entities import with_entities
from gateway.domain.config.configuration import Configuration
from gateway.xdm.classes import XdmClass

MAX_CACHED_SCHEMAS: Final = 64
"""The most schemas kept; a large one takes a few megabytes."""

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SandboxSchema:
    """A schema, and the digest of its unions, which differs between schemas with different entity types."""

    graphql: GraphQLSchema
    digest: bytes


class Schemas:
    """A cache of schemas by sandbox and version of its configuration; the least recently used are dropped first."""

    def __init__(self, base: GraphQLSchema) -> None:
        self._base = base
        self._kept: OrderedDict[Key, asyncio.Task[SandboxSchema]] = OrderedDict()

    async def read(self, config: Configuration) -> SandboxSchema:
        """Return the schema of a configuration, built at first use; concurrent requests for it share one build."""
        key = (config.sandbox_id, config.version)
        if key not in self._kept:
            self._kept[key] = asyncio.create_task(self._made(config))
            while len(self._kept) > MAX_CACHED_SCHEMAS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        made = self._kept[key]
        try:
            return made.result() if made.done() else await asyncio.shield(made)
        except Exception:
            self._kept.pop(key, None)
            raise

    async def _made(self, config: Configuration) -> SandboxSchema:
        unions = [config.union(xdm_class) for xdm_class in XdmClass]
        digest = await asyncio.to_thread(_digest, unions)
        for task in self._kept.values():
            if task.done() and not task.cancelled() and task.exception() is None and task.result().digest == digest:
                return task.result()
        graphql = await asyncio.to_thread(partial(with_entities, self._base, *unions))
        return SandboxSchema(graphql, digest)


def _digest(unions: list[dict[str, Any]]) -> bytes:
    return blake2b(orjson.dumps(unions), digest_size=16).digest()
