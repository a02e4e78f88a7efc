"""Tokens, which are not stored: only that one was revoked, or issued, is noted."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import strawberry

from gateway.api.context import Context, plain, resolved_by
from gateway.api.identities import IdentityInput, mutated_xid
from gateway.api.ids import input_id
from gateway.api.mutations import DeletePayload, MutationResult, UserError, mutation, user_errors
from gateway.domain.config import tokens
from gateway.domain.config.tokens import BOUND_LIFETIME, Binding
from gateway.domain.reading.identities import known_namespace
from gateway.domain.rules.durations import Duration
from gateway.domain.rules.scope import Permission
from gateway.errors import Invalid, NotFound


@strawberry.input(description="A token to be revoked.")
class RevokeTokenInput:
    token_id: str = plain(
        "Its claim `jti`, which everybody can read who has the token. Of one that `gateway token` made, the entry `createToken` of the audit log tells it."
    )


async def _revoke(context: Context, given: RevokeTokenInput) -> strawberry.ID:
    await tokens.revoke_token(context.db, context.scope, given.token_id)
    return strawberry.ID(given.token_id)


# ------------------------------------------------------------------------------------------------ for projections


@strawberry.input(description="A token for one projection of one person, which a browser may hold.")
class IssueProjectionTokenInput:
    configuration_id: strawberry.ID = plain("The configuration whose projection it opens.")
    identity: IdentityInput = plain("Whose projection it opens: a person that may be unknown yet.")
    expires_in: Duration | None = plain("How long it is valid: a day at most; an hour without it.", default=None)


def _token(answer: strawberry.Parent[MutationResult]) -> Any:
    return answer.changed and answer.changed[0]


def _expiry(answer: strawberry.Parent[MutationResult]) -> Any:
    return answer.changed and answer.changed[1]


@strawberry.type(description="The token that was issued, or what was wrong.")
class ProjectionTokenPayload:
    token: str | None = resolved_by(
        _token, "The token, for the header `Authorization: Bearer …` of requests to edges; null where none was issued."
    )
    expires_at: datetime | None = resolved_by(_expiry, "When it expires; null where none was issued.")
    user_errors: list[UserError] = user_errors()


async def _issue(context: Context, given: IssueProjectionTokenInput) -> tuple[str, datetime]:
    configuration_id = input_id(given.configuration_id, "ProjectionConfiguration", "configurationId")
    if context.config.projections.find(configuration_id) is None:
        raise NotFound("There is no projection with this id.", path=["configurationId"])
    xid = mutated_xid(context, given.identity, "identity")
    named = await _named(context, given.identity, xid)
    made = await tokens.issue_projection_token(
        context.db, context.scope, Binding(configuration_id, *named), _lifetime(given.expires_in)
    )
    return context.sign(context.scope.organization.organization_id, made), made.expires_at


async def _named(context: Context, given: IdentityInput, xid: UUID) -> tuple[str, str]:
    """Return the namespace of an identity and its value as it is stored. Raises NotFound for an xid that is unknown or erased."""
    if given.key:
        namespace = known_namespace(context.config, given.key.namespace)
        return namespace.code, namespace.normalized(context.scope.sandbox, [given.key.value])[0]
    identity: Any = await context.loaders.identity_by_xid.load(xid)
    if identity is None or identity.is_erased:
        raise NotFound("No identity has this xid.", path=["identity", "xid"])
    return context.config.namespaces[identity.namespace_id].code, identity.value


def _lifetime(given: Duration | None) -> timedelta:
    if given is None:
        return BOUND_LIFETIME
    months, seconds = given.parts
    if months:
        raise Invalid("It is a number of seconds, minutes, hours or a day.", path=["expiresIn"])
    return timedelta(seconds=seconds)


@strawberry.type(description="Mutations of tokens.")
class TokenMutation:
    revoke_token: DeletePayload = mutation(
        _revoke,
        Permission.ADMIN,
        "Revokes a token of the organization for good, whoever issued it: whatever request begins from now on is refused with it, by every server; by edges with the next delivery. Needs the scope `admin`, and a token for all sandboxes.",
    )
    issue_projection_token: ProjectionTokenPayload = mutation(
        _issue,
        Permission.PROFILE_READ,
        "Issues a token that opens the projection of one identity under one configuration at edges, and nothing else anywhere: a browser that holds it asks an edge directly. The audit log has the first that a caller gets of a configuration in an hour. Needs the scope `profile:read`.",
    )
