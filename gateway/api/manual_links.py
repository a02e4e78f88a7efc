"""Manual links: two identities that are kept apart for good, or tied although no row names both."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import strawberry

from gateway.api.context import Context, Info, plain, resolved_by
from gateway.api.identities import IdentityGraphNode, IdentityInput, mutated_xid
from gateway.api.mutations import MutationResult, UserError, mutation, user_errors
from gateway.domain.config.configuration import Configurations
from gateway.domain.operations import manual_links
from gateway.domain.reading.identity_graphs import Members
from gateway.domain.rules.scope import Permission, Scope
from gateway.storage.database import Database


@strawberry.input(description="Two identities that data names, in either order.")
class LinkIdentitiesInput:
    a: IdentityInput = plain("The one identity; it must name a person, a device or a browser.")
    b: IdentityInput = plain("The other identity, of which the same holds.")


async def _graphs(answer: strawberry.Parent[MutationResult], info: Info) -> list[Members]:
    graphs = await info.context.loaders.members_by_xid.load_many(answer.changed or [])
    return list({graph.xids: graph for graph in graphs if graph}.values())


@strawberry.type(
    description="The people two identities belong to after they were linked or unlinked, or what was wrong."
)
class IdentityGraphPayload:
    identity_graphs: list[IdentityGraphNode] = resolved_by(
        _graphs,
        "The graph of `a`, then that of `b`; one graph where they are together, none where nothing was done. To see them takes the scope `profile:read`.",
    )
    user_errors: list[UserError] = user_errors()


async def _unlink(context: Context, given: LinkIdentitiesInput) -> list[UUID]:
    return await _done(manual_links.unlink_identities, context, given)


async def _link(context: Context, given: LinkIdentitiesInput) -> list[UUID]:
    return await _done(manual_links.link_identities, context, given)


async def _done(
    verb: Callable[[Database, Scope, Configurations, UUID, UUID], Awaitable[None]],
    context: Context,
    given: LinkIdentitiesInput,
) -> list[UUID]:
    pair = mutated_xid(context, given.a, "a"), mutated_xid(context, given.b, "b")
    await verb(context.db, context.scope, context.configurations, *pair)
    return list(pair)


@strawberry.type(description="Mutations of manual links.")
class LinkingMutation:
    unlink_identities: IdentityGraphPayload = mutation(
        _unlink,
        Permission.PROFILE_WRITE,
        "Keeps two identities apart for good, whatever names both of them, now or later; what others join is not touched. Needs the scope `profile:write`.",
    )
    link_identities: IdentityGraphPayload = mutation(
        _link,
        Permission.PROFILE_WRITE,
        "Lets two identities join that were unlinked; where no data ties them, or they were not unlinked, ties them by hand, as of now. The identity settings hold all the same. Needs the scope `profile:write`.",
    )
