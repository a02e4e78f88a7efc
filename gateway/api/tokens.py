"""Tokens, which are not stored: only that one was revoked is."""

import strawberry

from gateway.api.context import Context, plain
from gateway.api.mutations import DeletePayload, mutation
from gateway.domain.config import tokens
from gateway.domain.rules.scope import Permission


@strawberry.input(description="A token to be revoked.")
class RevokeTokenInput:
    token_id: str = plain(
        "Its claim `jti`. Of a token that the gateway made, the entry `createToken` of the audit log tells it."
    )


async def _revoke(context: Context, given: RevokeTokenInput) -> strawberry.ID:
    await tokens.revoke_token(context.db, context.scope, given.token_id)
    return strawberry.ID(given.token_id)


@strawberry.type(description="Mutations of tokens.")
class TokenMutation:
    revoke_token: DeletePayload = mutation(
        _revoke,
        Permission.ADMIN,
        "Revokes a token of the organization for good, whoever issued it: whatever request begins from now on is refused with it, by every server. Needs the scope `admin`, and a token for all sandboxes.",
    )
