"""Identities that were erased, and how they may be stored again."""

from datetime import datetime
from operator import attrgetter

import strawberry

from gateway.api.context import Context, Info, attribute, plain, resolved_by
from gateway.api.identities import IdentityInput, mutated_xid
from gateway.api.ids import global_id, naming_jobs
from gateway.api.jobs import SystemJobNode
from gateway.api.mutations import DeletePayload, mutation
from gateway.api.namespaces import NamespaceType
from gateway.api.pagination import After, Before, Connection, First, Last, Listing, Slice
from gateway.api.scalars import Long
from gateway.domain.config.namespaces import Namespace
from gateway.domain.operations import erased_identities
from gateway.domain.operations.erased_identities import ErasedIdentity
from gateway.domain.rules.scope import Permission
from gateway.domain.work.jobs import Job


def _xid(erased: strawberry.Parent[ErasedIdentity]) -> str:
    return str(erased.xid)


def _namespace(erased: strawberry.Parent[ErasedIdentity], info: Info) -> Namespace:
    return info.context.config.namespaces[erased.namespace_id]


async def _job(erased: strawberry.Parent[ErasedIdentity], info: Info) -> Job | None:
    return await info.context.loaders.job_by_id.load(erased.job_id)


@strawberry.type(
    name="ErasedIdentity",
    description="An identity that was erased: its xid stays, and refuses what is sent about it. Its value is kept nowhere, unless a device, a cookie or a partner's identity is used again.",
)
class ErasedIdentityType:
    xid: strawberry.ID = resolved_by(_xid, "What stood for its namespace and value, and stands for them still.")
    namespace: NamespaceType = resolved_by(_namespace, "What kind of identity it was.")
    erased_at: datetime = plain("From when on it refuses documents.")
    job: SystemJobNode | None = resolved_by(_job, "The job that erased it, whose receipt says what went.")
    refused_since: Long = attribute("refused_count", "How many documents under it were refused since.")


async def _erased(
    info: Info, *, first: First = None, after: After = None, last: Last = None, before: Before = None
) -> Slice[ErasedIdentity]:
    db, scope = info.context.db, info.context.scope
    listing = Listing("erased identities", attrgetter("key"))
    page = await erased_identities.list_erased(db, scope, listing.window(first, after, last, before))
    return listing.paged(page, lambda: erased_identities.count_erased(db, scope))


@strawberry.type(description="Queries of erased identities.")
class ErasedIdentityQuery:
    erased_identities: Connection[ErasedIdentityType] = resolved_by(
        _erased,
        "The identities that were erased, those erased last first. Needs the scope `profile:read` or `jobs:write`.",
    )


@strawberry.input(description="An erased identity that may be stored again.")
class LiftErasureInput:
    identity: IdentityInput = plain("The identity, by its namespace and value, or by its xid.")


async def _lift(context: Context, given: LiftErasureInput) -> str:
    xid = mutated_xid(context, given.identity, "identity")
    with naming_jobs():
        await erased_identities.lift_erasure(context.db, context.scope, xid)
    return global_id("Identity", xid)


@strawberry.type(description="Mutations of erased identities.")
class ErasedIdentityMutation:
    lift_erasure: DeletePayload = mutation(
        _lift,
        Permission.JOBS_WRITE,
        "Lets an erased identity be stored again, as if it had never been: it leaves `erasedIdentities`. What was deleted stays so. NOT_FOUND for one that was not erased, CONFLICT while it is being erased. Needs the scope `jobs:write`.",
    )
