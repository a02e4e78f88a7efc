"""Projections of people: what edges hold, or would hold, of one person."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
import strawberry

from gateway.api.context import Info, plain, resolved_by
from gateway.api.identities import IdentityArgument, IdentityNode, input_xid
from gateway.api.projection_configurations import ProjectionConfigurationType
from gateway.api.scalars import JSON, Long
from gateway.domain.config.projection_configurations import ProjectionConfiguration
from gateway.domain.reading.changes import read_version
from gateway.domain.reading.edge_projections import MAX_BYTES, EdgeProjection, TooLarge, project
from gateway.domain.reading.identities import Identity
from gateway.domain.rules.scope import Permission
from gateway.errors import LimitExceeded

NameArgument = Annotated[
    str, strawberry.argument(name="name", description="The name of the projection configuration, case included.")
]


@dataclass(frozen=True, slots=True)
class Projection:
    """A projection of the person of an identity; `version` is where the journal was when it was made."""

    configuration: ProjectionConfiguration
    xid: UUID
    made: EdgeProjection
    version: int

    @property
    def document(self) -> Any:
        """The content as a value of JSON."""
        return orjson.loads(self.made.document)

    @property
    def etag(self) -> str:
        return self.made.etag

    @property
    def projected_at(self) -> datetime:
        return self.made.projected_at


async def _identity(projection: strawberry.Parent[Projection], info: Info) -> Identity | None:
    return await info.context.loaders.identity_by_xid.load(projection.xid)


@strawberry.type(
    name="Projection", description="What an edge holds, or would hold, of one person: the content that the edge serves."
)
class ProjectionType:
    configuration: ProjectionConfigurationType = plain("The configuration that says what is taken of the person.")
    identity: IdentityNode = resolved_by(_identity, "The identity by which the person was looked up.")
    document: JSON = plain("What is taken: `profile`, and `events` as a list, the newest first.")
    etag: str = plain("Equal for equal documents: the `ETag` of a look-up by GET at an edge, without quotes.")
    version: Long = plain("Up to where the journal of changes had been followed: the `version` of the newest change.")
    projected_at: datetime = plain("When it was read.")


async def _projection(info: Info, *, name: NameArgument, identity: IdentityArgument) -> Projection | None:
    context = info.context
    context.scope.require(Permission.PROFILE_READ)
    xid = input_xid(context, identity)
    configuration = context.config.projections.named(name, lambda each: each.name)
    if configuration is None:
        return None
    version = await read_version(context.db, context.scope)
    (made,) = await project(context.db, context.scope, context.config, configuration, [xid])
    if isinstance(made, TooLarge):
        raise LimitExceeded(f"The projection has {made.size:,} bytes; edges hold at most {MAX_BYTES:,} of a person.")
    if made is None:
        return None
    context.loaders.budget.spend(made.size)
    return Projection(configuration, xid, made, version)


@strawberry.type(description="Queries of projections.")
class EdgeProjectionQuery:
    projection: ProjectionType | None = resolved_by(
        _projection,
        "What an edge holds of this person under this configuration, made now; null where there is no such person or configuration. LIMIT_EXCEEDED for more than an edge holds. Needs the scope `profile:read`.",
    )
