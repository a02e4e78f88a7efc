"""A GraphQL client in front of a world: what a server does between authentication and HTTP, without either."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson
from world import World

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Operations, Outcome, Request
from gateway.api.schema import build_schema
from gateway.domain.config import tenants
from gateway.domain.rules.scope import Scope
from gateway.server.signing_keys import SigningKey
from gateway.server.tokens import sign_token

KEY = SigningKey("ed25519:that signs the tokens which clients of tests issue")


@dataclass
class Client:
    """Runs operations in the world's sandbox, by default with the permission `admin`."""

    world: World
    operations: Operations

    @classmethod
    def of(cls, world: World, limits: Limits | None = None, **more: Any) -> "Client":
        given = {"sign": partial(sign_token, KEY), **more}
        return cls(world, Operations(world.db, world.configurations, build_schema(), limits or Limits(), **given))

    async def scope(self, scopes: Iterable[str] | None = None) -> Scope:
        """The scope that authentication would give for a token with these scopes."""
        scope = self.world.scope
        sandbox = await tenants.read_sandbox(self.world.db, scope.organization.organization_id, scope.sandbox.name)
        assert sandbox is not None
        permissions = scope.permissions if scopes is None else tenants.permissions(scopes)
        return replace(scope, sandbox=sandbox, permissions=permissions)

    async def answer(
        self, query: str, variables: dict[str, Any] | None = None, *, scopes: Iterable[str] | None = None, **more: Any
    ) -> tuple[Outcome, dict[str, Any]]:
        """Return the outcome of the operation, and the body as a client reads it."""
        only_queries = more.pop("only_queries", False)
        request = Request(query, variables, **more)
        response = await self.operations.run(await self.scope(scopes), request, only_queries=only_queries)
        return response.outcome, orjson.loads(orjson.dumps(response.body))

    async def data(self, query: str, *, scopes: Iterable[str] | None = None, **variables: Any) -> dict[str, Any]:
        """The operation's `data`; it must have no errors."""
        _, body = await self.answer(query, variables, scopes=scopes)
        assert "errors" not in body, body["errors"]
        return body["data"]

    async def error(self, query: str, *, scopes: Iterable[str] | None = None, **variables: Any) -> dict[str, Any]:
        """The operation's one error."""
        _, body = await self.answer(query, variables, scopes=scopes)
        (error,) = body["errors"]
        return error

    async def changed(self, mutation: str, given: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The payload of a mutation of one field, which must have no user errors: `changed("createDataset", "{id}", {...})`."""
        data = await self.data(mutation, given=given, **more)
        (payload,) = data.values()
        assert payload["userErrors"] == []
        return payload
