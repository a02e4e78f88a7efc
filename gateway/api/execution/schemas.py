"""The GraphQL schema of each sandbox, made when its configuration is first met and kept while it is in use.

Sandboxes with the same unions share one schema: most have only the standard fields. Making one runs in a thread, so that a sandbox with
thousands of custom fields does not hold up the others.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, Final

import orjson
from graphql import GraphQLSchema

from gateway.api.entities import with_entities
from gateway.domain.config.configuration import Configuration
from gateway.runtime.cache import WeightedCache
from gateway.runtime.threads import Once
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
        self._kept: WeightedCache[Key, SandboxSchema] = WeightedCache(MAX_CACHED_SCHEMAS)
        self._making: Once[Key, SandboxSchema] = Once()

    async def read(self, config: Configuration) -> SandboxSchema:
        """Return the schema of a configuration, built at first use; concurrent requests for it share one build."""
        key = (config.sandbox_id, config.version)
        return self._kept.get(key) or await self._making.do(key, partial(self._made, key, config))

    async def _made(self, key: Key, config: Configuration) -> SandboxSchema:
        unions = [config.full_union(xdm_class) for xdm_class in XdmClass]
        digest = await asyncio.to_thread(_digest, unions)
        schema = next((each for each in self._kept.values() if each.digest == digest), None)
        if schema is None:
            schema = SandboxSchema(await asyncio.to_thread(with_entities, self._base, *unions), digest)
        self._kept.put(key, schema)
        return schema


def _digest(unions: list[dict[str, Any]]) -> bytes:
    return blake2b(orjson.dumps(unions), digest_size=16).digest()
