"""What a resolver can reach, and how fields are made of resolvers over the domain's own objects.

GraphQL types here describe; they are never instantiated. A type's plain fields are read off a domain dataclass by name, the others by
a function that gets that dataclass as `Parent`. So a class body reads like SDL, and nothing is copied on the way out.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Annotated, Any, TypeAlias, TypeVar
from uuid import UUID

import strawberry
from graphql import GraphQLSchema

from gateway.api.loaders import EVERYTHING, CoalescedLoaders, Loaders, Sight, Wanted
from gateway.domain.config import tenants
from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.rules.scope import READ_CONFIGURATION, Scope
from gateway.domain.rules.selectors import Selector
from gateway.storage.database import Database


@dataclass(slots=True)
class Context:
    """One request: who asks, the sandbox's configuration as it was found, the GraphQL schema made of it, and the loaders.

    `deadline` is the moment, by the event loop's clock, at which the request is given up, and `answer_bytes` what its answer may have.
    `selectors` has the trees of those in the operation by their texts.
    """

    db: Database
    scope: Scope
    config: Configuration
    configurations: Configurations
    schema: GraphQLSchema
    deadline: float
    answer_bytes: int
    shared: CoalescedLoaders
    selectors: Mapping[str, Selector]
    loaders: Loaders = field(init=False)

    def __post_init__(self) -> None:
        self.loaders = Loaders(self.db, self.scope, self.config, self.shared, self.answer_bytes)

    @property
    def seconds_left(self) -> float:
        """How long the request may still take."""
        return self.deadline - asyncio.get_running_loop().time()

    def require_configuration(self) -> None:
        """Raise Forbidden unless the caller may see how the sandbox is set up."""
        self.scope.require(*READ_CONFIGURATION)

    async def renew(self, *, configuration: bool) -> None:
        """Forget what was read: a mutation has changed it. `configuration`: that too is read again."""
        if configuration:
            organization_id, name = self.scope.organization.organization_id, self.scope.sandbox.name
            sandbox = await tenants.read_sandbox(self.db, organization_id, name)
            if sandbox is not None:  # else the caller has just deleted the sandbox it is in
                self.scope = replace(self.scope, sandbox=sandbox)
                self.config = await self.configurations.read(self.db, self.scope)
        self.shared = CoalescedLoaders(self.db, self.scope, self.config)
        self.loaders = Loaders(self.db, self.scope, self.config, self.shared, self.answer_bytes)


_Resolver = TypeVar("_Resolver", bound=Callable[..., Any])

Info: TypeAlias = strawberry.Info[Context, None]


@dataclass(slots=True)
class CompiledInfo:
    """What a resolver of a compiled operation gets for `Info`. `wanted` is for the profiles or events that the field gives; `variables` are
    the operation's, as what lies further in reads them."""

    context: Context
    wanted: Wanted = EVERYTHING
    variables: Any = None


def wanted_of(info: Info) -> Wanted:
    """What is wanted of profiles or events; on the stock executor everything is."""
    return info.wanted if isinstance(info, CompiledInfo) else EVERYTHING


def sight_of(info: Info, policy_id: UUID) -> Sight:
    """How the field looks at profiles. Where something is wrong with the arguments of the events in them, those are left out: it is told
    where they stand."""
    wanted = wanted_of(info)
    if wanted.text is None or wanted.text.timeline is None or not isinstance(info, CompiledInfo):
        return Sight(policy_id, wanted)
    try:
        return Sight(policy_id, wanted, wanted.text.timeline(info.variables))
    except Exception:  # noqa: BLE001 (whatever it is, it comes again when the field of the events is run)
        return Sight(policy_id, wanted)


def for_all(function: Callable[..., Any]) -> Callable[[_Resolver], _Resolver]:
    """Marks a resolver of one parent with the function that does the same for all parents of a level.

    It takes them in a list, and the resolver's other arguments by name; compiled operations call it instead.
    """

    def mark(resolver: _Resolver) -> _Resolver:
        resolver.for_all = function  # type: ignore[attr-defined]
        return resolver

    return mark


def resolved_by(resolver: Callable[..., Any], description: str, of: Any = None, name: str | None = None) -> Any:
    """A field whose GraphQL type is the annotation beside it, whatever domain type the resolver says that it returns.

    `of` is given instead where the type is of a module that imports this one: `of=later("gateway.api.batches", "BatchType")`.
    """
    return strawberry.field(resolver=resolver, description=description, graphql_type=of, name=name)


def attribute(path: str, description: str, name: str | None = None) -> Any:
    """Return a field that reads an attribute of the domain object: `path` is its name, or several with dots between them."""
    read = attrgetter(path)

    def resolve(parent: strawberry.Parent[Any]) -> Any:
        return read(parent)

    return resolved_by(resolve, description, name=name)


def later(module: str, name: str) -> Any:
    """A GraphQL type that is looked up when the schema is put together."""
    return Annotated[name, strawberry.lazy(module)]
