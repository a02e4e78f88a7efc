"""API keys: the programs that call the gateway."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import strawberry

from gateway.api.context import Context, Info, plain, resolved_by
from gateway.api.ids import input_id
from gateway.api.mutations import (
    DeleteInput,
    DeletePayload,
    MutationResult,
    UserError,
    mutation,
    user_errors,
)
from gateway.api.nodes import Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, Listing, Slice
from gateway.api.tenants import SandboxNode
from gateway.domain.config import api_keys
from gateway.domain.config.api_keys import ApiKey
from gateway.domain.rules.scope import Permission
from gateway.errors import Invalid

API_KEYS: Listing[ApiKey] = Listing("apiKeys", lambda key: (key.created_at, key.api_key_id))


# ------------------------------------------------------------------------------------------------ types and queries


@strawberry.type(
    name="ApiKey",
    description="The key of a program that calls the gateway, sent as `x-api-key`. The token beside it says what is allowed.",
)
class ApiKeyType(Node):
    domain = ApiKey

    id: strawberry.ID = id_field("Global id of the key.", "ApiKey", "api_key_id")
    name: str = plain("What people call it, such as the name of the program.")
    prefix: str = plain("The first characters of the key, to tell it by; empty for a key of an older release.")
    sandboxes: list[SandboxNode] | None = plain(
        "The sandboxes that the key is bound to, as far as they exist and the token is for them; null where it opens all of the organization."
    )
    expires_at: datetime | None = plain("When it ceases to be valid; null where it does not by itself.")
    created_at: datetime = plain("When it was made.")
    created_by: str | None = plain("Who made it; null for a key of an older release.")
    last_used_at: datetime | None = plain("When a request last came with it, to the hour; null where none did.")
    revoked_at: datetime | None = plain("When it was revoked; null while it is valid.")


async def _api_keys(
    info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
) -> Slice[ApiKey]:
    context = info.context
    page = await api_keys.list_api_keys(context.db, context.scope, API_KEYS.window(first, after, last, before))
    return API_KEYS.paged(page, lambda: api_keys.count_api_keys(context.db, context.scope))


async def read_api_keys(context: Context, keys: Sequence[UUID]) -> list[ApiKey | None]:
    """Read the API keys with these ids, None for those that the caller does not see. Raises Forbidden."""
    return await api_keys.read_api_keys(context.db, context.scope, keys)


@strawberry.type(description="Queries of API keys.")
class ApiKeyQuery:
    api_keys: Connection[ApiKeyType] = resolved_by(
        _api_keys,
        "The keys that open a sandbox of the token, newest first, revoked ones included. Needs the scope `admin`.",
    )


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="An API key to be made.")
class CreateApiKeyInput:
    name: str = plain("What people will call it, such as the name of the program.")
    sandbox_ids: list[strawberry.ID] | None = plain(
        "The sandboxes that it is to open, at least one; left out for all of the organization, future ones included.",
        default=None,
    )
    expires_at: datetime | None = plain("When it is to cease to be valid; left out for never.", default=None)


def _key(answer: strawberry.Parent[MutationResult]) -> ApiKey | None:
    return answer.changed[0] if answer.changed else None


def _secret(answer: strawberry.Parent[MutationResult]) -> str | None:
    return answer.changed[1] if answer.changed else None


@strawberry.type(description="The API key that was made, or what was wrong.")
class ApiKeyPayload:
    api_key: ApiKeyType | None = resolved_by(_key, "The key; null where none was made.")
    secret: str | None = resolved_by(
        _secret, "The key itself, for `x-api-key`: told here and never again. Null where none was made."
    )
    user_errors: list[UserError] = user_errors()


async def _create(context: Context, given: CreateApiKeyInput) -> tuple[ApiKey, str]:
    sandbox_ids = None
    if given.sandbox_ids is not None:
        sandbox_ids = [
            input_id(each, "Sandbox", "sandboxIds", str(place)) for place, each in enumerate(given.sandbox_ids)
        ]
    return await api_keys.create_api_key(context.db, context.scope, given.name, sandbox_ids, given.expires_at)


async def _revoke(context: Context, given: DeleteInput) -> strawberry.ID:
    if given.current_version is not None:
        raise Invalid("A key has no versions: nothing of it changes but that it is revoked.", path=["currentVersion"])
    await api_keys.revoke_api_key(context.db, context.scope, input_id(given.id, "ApiKey", "id"))
    return given.id


@strawberry.type(description="Mutations of API keys.")
class ApiKeyMutation:
    create_api_key: ApiKeyPayload = mutation(
        _create,
        Permission.ADMIN,
        "Makes an API key. Needs the scope `admin`, and a token for all sandboxes that the key is to open.",
    )
    revoke_api_key: DeletePayload = mutation(
        _revoke,
        Permission.ADMIN,
        "Revokes an API key for good: whatever request begins from now on is refused with it, by every server. Needs the scope `admin`, and a token for all sandboxes that the key opens. A key has no versions, so `currentVersion` is INVALID.",
    )
