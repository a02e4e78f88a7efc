"""The GraphQL schema of an edge: one projection, or many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, NewType

import orjson
import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from gateway.domain.edges.projections import Found
from gateway.errors import GatewayError, LimitExceeded, NotFound
from gateway.server.edge.lookups import MAX_IDENTITIES, Identity, Lookups, Result
from gateway.server.http.admission import Tenant

MAX_LOOKUPS: Final = 20
"""Fields of an operation that look something up."""

JSON = NewType("JSON", object)
Time = NewType("Time", str)

SCALARS: Final[Mapping[object, Any]] = {
    JSON: strawberry.scalar(name="JSON", description="Anything that JSON can say.", serialize=orjson.Fragment),
    Time: strawberry.scalar(name="DateTime", description="A point in time as in RFC 3339, in UTC with milliseconds."),
}


@dataclass(slots=True)
class EdgeContext:
    """What the fields of one operation share. `headers` name the caller, who calls from the address `client`."""

    lookups: Lookups
    headers: Mapping[str, str]
    client: Tenant
    identities: int = 0
    fields: int = 0

    async def find(self, name: str, identities: Sequence["IdentityInput"]) -> list[Result]:
        """Look identities up. Raises LimitExceeded for more than an operation may ask for, and what `Lookups.find` raises."""
        self.fields, self.identities = self.fields + 1, self.identities + len(identities)
        if self.fields > MAX_LOOKUPS or self.identities > MAX_IDENTITIES:
            raise LimitExceeded(
                f"An operation has at most {MAX_LOOKUPS} look-ups, of {MAX_IDENTITIES:,} identities in all."
            )
        named = [Identity(each.namespace, each.value) for each in identities]
        return await self.lookups.find(self.headers, self.client, name, named)


Info = strawberry.Info[EdgeContext, None]
Parent = strawberry.Parent[Found]


@strawberry.input(description="An identity: a value in a namespace.")
class IdentityInput:
    """An identity as a caller names it."""

    namespace: str = strawberry.field(description="Code of the namespace, such as `Email`.")
    value: str = strawberry.field(description="The value, which is normalized as at the hub.")


def _profile(found: Parent) -> JSON:
    return JSON(found.profile)


def _events(found: Parent) -> JSON:
    return JSON(f"[{','.join(found.events)}]")


def _projected_at(found: Parent) -> Time:
    return Time(found.projected_at)


def _etag(found: Parent) -> str:
    return found.etag


def _age(found: Parent) -> int:
    return found.age


@strawberry.type(name="Projection", description="What a configuration says of one person, as the edge has it.")
class ProjectionType:
    """A `Found` as GraphQL shows it."""

    profile: JSON = strawberry.field(resolver=_profile, description="The selected part of the profile.")
    events: JSON = strawberry.field(
        resolver=_events, description="The newest events that the configuration selects, newest first."
    )
    projected_at: Time = strawberry.field(resolver=_projected_at, description="When the hub found both like this.")
    etag: str = strawberry.field(
        resolver=_etag, description="Equal for equal profile and events: `ETag` of a look-up by GET, without quotes."
    )
    age: int = strawberry.field(resolver=_age, description="Seconds since which the hub may know better.")


Name = Annotated[str, strawberry.argument(description="Name of the projection configuration.")]
Whose = Annotated[IdentityInput, strawberry.argument(description="Whose projection.")]
AllOf = Annotated[list[IdentityInput], strawberry.argument(description="Whose projections: at most 1,000.")]


async def _projection(info: Info, name: Name, identity: Whose) -> ProjectionType | None:
    (found,) = await info.context.find(name, [identity])
    if isinstance(found, GatewayError) and not isinstance(found, NotFound):
        raise found
    shown: ProjectionType | None = _shown(found)
    return shown


async def _projections(info: Info, name: Name, identities: AllOf) -> list[ProjectionType | None]:
    return list(map(_shown, await info.context.find(name, identities)))


def _shown(result: Result) -> Any:
    """Return what GraphQL shows at a place: nothing where nobody has the identity, else what was found, or its error."""
    return None if isinstance(result, NotFound) else result


@strawberry.type(description="Look-ups at this edge.")
class Query:
    """The fields of queries."""

    projection: ProjectionType | None = strawberry.field(
        resolver=_projection,
        description="What a configuration says of the person with an identity; null if nobody has it.",
    )
    projections: list[ProjectionType | None] = strawberry.field(
        resolver=_projections,
        description="What a configuration says of the person with each identity, in their order; null where nobody has it, or where an error says why.",
    )


def build_edge_schema() -> GraphQLSchema:
    """Return the schema, made anew."""
    schema: GraphQLSchema = strawberry.Schema(query=Query, config=StrawberryConfig(scalar_map=SCALARS))._schema  # noqa: SLF001 (graphql-core's own)
    return schema
