"""Verification of erasures: what is left of an identity."""

import strawberry

from gateway.api.context import Info, plain, resolved_by
from gateway.api.identities import IdentityArgument, input_xid
from gateway.domain.operations.erasure_verification import ErasureCheck, verify_erasure


@strawberry.type(name="ErasureCheck", description="What is left of an identity that was erased.")
class ErasureCheckType:
    is_erased: bool = plain(
        "Whether the identity was erased and nothing from before that is left. A device that was used again since may be known again."
    )
    traces: list[str] = plain(
        "The stores that still hold something from before, by the names of their tables, such as `record`; of an identity that was not erased, all that hold something. Empty where nothing is left. `edge VA6`: the edge in that data centre has yet to confirm that it is gone there."
    )


async def _verify(info: Info, *, given: IdentityArgument) -> ErasureCheck:
    context = info.context
    return await verify_erasure(context.db, context.scope, input_xid(context, given))


@strawberry.type(description="Queries about erasures.")
class ErasureVerificationQuery:
    verify_erasure: ErasureCheckType = resolved_by(
        _verify,
        "Looks for an identity in every store: facts, views, the journal, refused documents, warnings and jobs. BAD_INPUT for an identity that cannot be one. Needs the scope `profile:read` or `jobs:write`.",
    )
