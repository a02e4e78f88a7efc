"""The context of a request, which resolvers read from, and functions that make fields of resolvers.

GraphQL types here describe; they are never instantiated. A type's plain fields are read off a domain dataclass by name, the others by
a function that gets that dataclass as `Parent`. So a class body reads like SDL, and no object is copied on the way out.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Annotated, Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

import strawberry
from graphql import GraphQLSchema

from gateway.api.conditions import Conditions
from gateway.api.loaders import CoalescedLoaders, Loaders
from gateway.api.projections import Reads, reading
from gateway.api.weights import METADATA as WEIGHT
from gateway.api.weights import Weight
from gateway.domain.config import tenants
from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.tokens import Sign, sign_nothing
from gateway.domain.operations.export_locations import NO_LOCATIONS, Locations
from gateway.domain.rules.limits import ServiceLimit
from gateway.domain.rules.scope import READ_CONFIGURATION, Scope
from gateway.domain.rules.selectors import Selector
from gateway.projection.tree import Page, Projection, Rows
from gateway.storage.database import Database


@dataclass(slots=True)
class Context:
    """One request: its scope, the configuration of its sandbox, the GraphQL schema made of that, and the loaders.

    `deadline` is the end of the request by the clock of the event loop, in seconds; `answer_bytes` is the most that its answer may have.
    `selectors` are the parsed selectors of the operation by their texts, `conditions` its checked conditions; `service_limits` are all limits
    that callers may see. `revert_days`: how long complete batches of records can be reverted. `most_attributes`: how many computed attributes may
    be published. `sign` signs tokens of ours; `locations`: where exports may be; `most_spooled`: how many bytes of people one may read before it writes.
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
    conditions: Conditions
    service_limits: tuple[ServiceLimit, ...]
    revert_days: float
    most_attributes: int
    sign: Sign = sign_nothing
    locations: Locations = NO_LOCATIONS
    most_spooled: int = sys.maxsize
    loaders: Loaders = field(init=False)

    def __post_init__(self) -> None:
        self.loaders = Loaders(self.db, self.scope, self.config, self.shared, self.answer_bytes)

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - asyncio.get_running_loop().time()

    def require_configuration(self) -> None:
        """Raise Forbidden unless the caller may read the configuration of the sandbox."""
        self.scope.require(*READ_CONFIGURATION)

    def reading_from(self, db: Database) -> "Context":
        """Return a context for the same request that reads from another database, with loaders of its own."""
        return replace(self, db=db, shared=CoalescedLoaders(db, self.scope, self.config))

    def give_up(self) -> None:
        """Cancel what is left of the request."""
        self.loaders.give_up()

    async def renew(self, *, configuration: bool) -> None:
        """Start with empty loaders, since a mutation changed what they hold. `configuration`: read the configuration again, too."""
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


PRECONDITION: Final = "precondition"


class Precondition(NamedTuple):
    """What must hold of an argument that is given before an operation reads anything: `check` raises BadInput, Misconfigured.

    At the root the error would take the other root fields along; it does not where the resolver itself checks (`at_root=False`).
    """

    check: Callable[[Configuration, Any], object]
    at_root: bool = True


class SelectedRecords(Protocol):
    """What is selected below a field that reads records: see `execution/lookahead.py`."""

    def bound(self, context: Context, variables: Any) -> Projection | None:
        """Return the projection for a request and the values of its variables, if it can be projected."""

    def page_of(self, context: Context, variables: Any, rows: Rows) -> Page | None:
        """Return the whole connection that the field gives, if it can be projected."""


@dataclass(slots=True)
class CompiledInfo:
    """What a resolver of a compiled operation gets in place of `Info`.

    `selected` is what is selected of the field's records; `variables` are the values of the operation's variables.
    """

    context: Context
    selected: SelectedRecords | None = None
    variables: Any = None


def projection_of(info: Info, everything: Projection) -> Projection:
    """Return what is to be read of the field's records; `everything` where that is not known, or where it is that.

    Equal projections share a read, and records that are read by `everything` itself come without parts.
    """
    selected = info.selected if isinstance(info, CompiledInfo) else None
    if selected is None or not isinstance(info, CompiledInfo):
        return everything
    wanted = selected.bound(info.context, info.variables)
    return everything if wanted is None or wanted == everything else wanted


def page_of(info: Info, rows: Rows) -> Page | None:
    """Return the whole connection that the field gives, for a page of it; None where it cannot be read as one text."""
    selected = info.selected if isinstance(info, CompiledInfo) else None
    if selected is None or not isinstance(info, CompiledInfo):
        return None
    return selected.page_of(info.context, info.variables, rows)


def for_all(function: Callable[..., Any]) -> Callable[[_Resolver], _Resolver]:
    """Mark a resolver of one parent with a function that resolves the field for all parents of a level.

    The function takes a list of parents, and the resolver's other arguments by name. Compiled operations call it instead of the resolver.
    """

    def mark(resolver: _Resolver) -> _Resolver:
        resolver.for_all = function  # type: ignore[attr-defined]
        return resolver

    return mark


def resolved_by(
    resolver: Callable[..., Any],
    description: str,
    of: Any = None,
    name: str | None = None,
    *,
    reads: Reads | None = None,
    raw: frozenset[str] | None = None,
    computes: bool = False,
    weight: Weight | None = None,
) -> Any:
    """Return a field whose GraphQL type is the annotation in the class, whatever domain type the resolver returns.

    `of` is its type where that is of a module that imports the class's own: `of=later("gateway.api.batches", "BatchType")`. `reads`, `raw`
    and `computes` say how it is read of a record: see `projections.py`; `weight` what it costs.
    """
    metadata = {} if reads is None and raw is None else reading(reads, raw=raw, computes=computes)
    if weight is not None:
        metadata[WEIGHT] = weight
    return strawberry.field(resolver=resolver, description=description, graphql_type=of, name=name, metadata=metadata)


def plain(
    description: str,
    reads: Reads | None = None,
    *,
    raw: frozenset[str] | None = None,
    is_record: bool = False,
    weight: Weight | None = None,
    **options: Any,
) -> Any:
    """Return a field that reads the attribute of its own name, or the field of an input.

    `reads` and `raw` say how it is read of a record; `is_record`: its objects are the record itself; `weight` says what it costs. `options`
    are those of `strawberry.field`.
    """
    if reads is not None or raw is not None:
        options["metadata"] = reading(reads, raw=raw, is_record=is_record)
    if weight is not None:
        options["metadata"] = {**options.get("metadata", {}), WEIGHT: weight}
    return strawberry.field(description=description, **options)


def attribute(path: str, description: str, name: str | None = None, **declared: Any) -> Any:
    """Return a field that reads an attribute of the domain object: `path` is its name, or several with dots between them."""
    read = attrgetter(path)

    def resolve(parent: strawberry.Parent[Any]) -> Any:
        return read(parent)

    return resolved_by(resolve, description, name=name, **declared)


def itself(parent: strawberry.Parent[Any]) -> Any:
    """Return the domain object of the type around the field."""
    return parent


def later(module: str, name: str) -> Any:
    """Return a reference to a GraphQL type of another module, which is imported when the schema is built."""
    return Annotated[name, strawberry.lazy(module)]
