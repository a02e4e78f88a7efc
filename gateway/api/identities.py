"""Identities and their graphs: which identities are one person, and which rows say so."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias
from uuid import UUID

import strawberry

from gateway.api.context import (
    PRECONDITION,
    Context,
    Info,
    Precondition,
    attribute,
    for_all,
    later,
    plain,
    projection_of,
    resolved_by,
)
from gateway.api.datasets import DatasetType
from gateway.api.finished import Finished
from gateway.api.ids import parse_id
from gateway.api.namespaces import NamespacesArgument, NamespaceType, namespace_ids, of_namespaces
from gateway.api.nodes import Node, id_field
from gateway.api.projections import related
from gateway.api.rows import column_of
from gateway.api.scalars import Long, described
from gateway.api.weights import OBJECT, Weight
from gateway.domain.config.configuration import Configuration
from gateway.domain.config.datasets import Dataset
from gateway.domain.config.namespaces import Namespace
from gateway.domain.config.policies import MergePolicy
from gateway.domain.reading.identities import Identity, Sighting, resolve_xid, resolve_xids
from gateway.domain.reading.identity_graphs import Link, Members
from gateway.domain.reading.people_statements import PERSON, WHOLE
from gateway.domain.reading.profiles import InvalidKey, Profile, ProfileResult
from gateway.domain.rules.graphs import LinkRefusal
from gateway.errors import BadInput, Invalid, LimitExceeded, Unavailable, Vanished
from gateway.projection.tree import Column, Format

described(
    LinkRefusal,
    "LinkRefusal",
    "Why rows that name two identities together do not make them one person.",
    UNIQUE_NAMESPACE="It would have brought two values of a namespace together that is unique in a graph.",
    IDENTITY_CAP="A graph holds at most 50 identities, an identity that more than 100 others are linked to links nobody, and where more than 2,000 hang together the busiest of them do not either.",
    UNLINKED="The two were unlinked by hand.",
)

GRAPH: Final = frozenset({PERSON})

MAX_KEYS = 1_000

_XID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

ShownProfile: TypeAlias = Profile | Finished | Unavailable
"""A profile, or its JSON text where Postgres writes all that is selected of it; or the error that stands in its place where it cannot be read now."""

ProfileField = later("gateway.api.profiles", "ProfileType") | None


# ------------------------------------------------------------------------------------------------ inputs


@strawberry.input(description="An identity by what it is: a namespace, and a value in it.")
class IdentityKeyInput:
    namespace: str = strawberry.field(description="Code of the namespace, case included, as in `identityNamespaces`.")
    value: str = strawberry.field(
        description="The value, in any spelling that the namespace's `normalization` takes for the same."
    )


@strawberry.input(
    one_of=True,
    description="An identity, known or not, in exactly one of two ways: by its namespace and value, or by its xid.",
)
class IdentityInput:
    key: IdentityKeyInput | None = strawberry.field(
        default=strawberry.UNSET, description="Its namespace and its value there."
    )
    xid: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Its xid, or a `profileId`, as this sandbox gave it out."
    )


IdentityArgument = Annotated[
    IdentityInput, strawberry.argument(name="identity", description="The identity that is asked for.")
]
IdentitiesArgument = Annotated[
    list[IdentityInput],
    strawberry.argument(name="identities", description="The identities that are asked for; at most 1,000."),
]


def input_xid(context: Context, given: IdentityInput) -> UUID:
    """Return the xid of an identity. Raises BadInput for an unknown namespace, an impossible value, and a text that is no xid."""
    if isinstance(given.key, IdentityKeyInput):
        return resolve_xid(context.scope, context.config, given.key.namespace, given.key.value)
    return parse_xid(given.xid or "")


def mutated_xid(context: Context, given: IdentityInput, *path: str) -> UUID:
    """Return the xid of an identity in a mutation's input, where it stands at a path. Raises Invalid, with the path of the field at fault."""
    try:
        return input_xid(context, given)
    except BadInput as error:
        is_known = given.key and context.config.namespace(given.key.namespace)
        place = ["key", "value" if is_known else "namespace"] if given.key else ["xid"]
        raise Invalid(error.message, path=[*path, *place]) from error


def input_xids(context: Context, given: Sequence[IdentityInput]) -> list[UUID]:
    """Return the xids of up to 1,000 identities. Raises BadInput for the first impossible one, with its place, and LimitExceeded."""
    xids, keys = input_keys(context, given)
    for place, key in enumerate(keys):
        if isinstance(key, InvalidKey):
            raise BadInput(f"`identities[{place}]`: {key.message}")
    return xids


def _resolved(context: Context, given: Sequence[IdentityInput]) -> list[UUID]:
    if len(given) > MAX_KEYS:
        raise LimitExceeded(f"At most {MAX_KEYS:,} identities at once; {len(given):,} were given.")
    keys = column_of(given, "key")
    if keys is None:
        return [input_xid(context, each) for each in given]
    pairs = zip(column_of(keys, "namespace"), column_of(keys, "value"), strict=True)
    return resolve_xids(context.scope, context.config, pairs)


def input_keys(context: Context, given: Sequence[IdentityInput]) -> tuple[list[UUID], Sequence[UUID | InvalidKey]]:
    """Return the xids of up to 1,000 identities, impossible ones left out; and all in their order, impossible ones as InvalidKey.

    Raises LimitExceeded.
    """
    try:
        xids = _resolved(context, given)
    except LimitExceeded:
        raise
    except BadInput:  # rare: then each is looked at by itself
        keys = [_key(context, each) for each in given]
        return [key for key in keys if not isinstance(key, InvalidKey)], keys
    return xids, xids


def _key(context: Context, given: IdentityInput) -> UUID | InvalidKey:
    try:
        return input_xid(context, given)
    except BadInput as error:
        return InvalidKey(error.message)


def parse_xid(text: str) -> UUID:
    """Return the xid that a text in canonical form writes. Raises BadInput for any other text."""
    xid = UUID(text) if _XID.fullmatch(text) else None
    if xid is None:
        raise BadInput("This is not an xid that this server gave out.")
    return xid


def policy_in(config: Configuration, policy_id: str | None) -> MergePolicy:
    """Return the policy with this id in a configuration, the default one for None. Raises BadInput for an unknown one, Misconfigured."""
    return config.policy(None if policy_id is None else parse_id(policy_id, "MergePolicy", "mergePolicyId"))


PolicyArgument = Annotated[
    strawberry.ID | None,
    strawberry.argument(
        name="mergePolicyId",
        description="The `id` of the merge policy to see people by; left out, the sandbox's default policy.",
        metadata={PRECONDITION: Precondition(policy_in, at_root=False)},
    ),
]


async def profile_at(info: Info, policy_id: str | None, xid: UUID) -> ShownProfile | None:
    """Read the profile that an xid leads to under a policy, the default one for None; None where there is no profile."""
    return (await profiles_under(policy_in(info.context.config, policy_id), (xid,), info))[0]


async def profiles_at(xids: Iterable[UUID], info: Info, policy_id: str | None) -> list[ShownProfile | None]:
    """Read the profile of each xid, in their order, as `profile_at` does for one."""
    return await profiles_under(policy_in(info.context.config, policy_id), xids, info)


async def profiles_under(policy: MergePolicy, xids: Iterable[UUID], info: Info) -> list[ShownProfile | None]:
    """Read the profile that each xid leads to under a policy, in their order; None where there is none."""
    asked = policy.policy_id, projection_of(info, WHOLE)
    found = await info.context.loaders.profiles_by_xids.load((asked, tuple(xids)))
    return [
        read.error or read.profile if isinstance(read, ProfileResult) else None if read is None else Finished(read)
        for read in found
    ]


# ------------------------------------------------------------------------------------------------ identities


@dataclass(frozen=True, slots=True)
class IdentityRef:
    """An identity as a caller wrote it; an impossible one has no xid."""

    xid: UUID | None
    namespace: str | None = None
    value: str | None = None


def _xid(identity: strawberry.Parent[Identity]) -> str:
    return str(identity.xid)


def _ref_xid(requested: strawberry.Parent[IdentityRef]) -> str | None:
    return None if requested.xid is None else str(requested.xid)


async def identity_of(parent: strawberry.Parent[Any], info: Info) -> Identity:
    """Read the identity of anything that has an `xid`: a record, an event, a difference. Raises Vanished."""
    return (await _read_known(info, [parent.xid]))[0]


async def _read_known(info: Info, xids: Sequence[UUID]) -> list[Identity]:
    """Read identities that are known by what was read already. Raises Vanished if one of them is removed or erased by now."""
    found = await info.context.loaders.identity_by_xid.load_many(xids)
    known = [identity for identity in found if identity is not None and not identity.is_erased]
    if len(known) < len(found):
        raise Vanished
    return known


async def identities_of(info: Info, xids: Sequence[UUID], namespaces: Sequence[str] | None) -> list[Identity]:
    """Read the identities with these xids, in their order; where codes of namespaces are given, those of these namespaces alone.

    Raises BadInput for a code that no namespace has, LimitExceeded for more than 1,000 codes, Vanished.
    """
    if namespaces is None:
        return await _read_known(info, xids)
    wanted = namespace_ids(info.context, namespaces)
    return [identity for identity in await _read_known(info, xids) if identity.namespace_id in wanted]


def _namespace(identity: strawberry.Parent[Identity], info: Info) -> Namespace:
    return info.context.config.namespaces[identity.namespace_id]


async def _is_primary(identity: strawberry.Parent[Identity], info: Info) -> bool:
    return await info.context.loaders.primary_by_xid.load(identity.xid)


async def _first_seen_at(identity: strawberry.Parent[Identity], info: Info) -> datetime:
    return (await _sighting(identity, info)).first_at


async def _last_seen_at(identity: strawberry.Parent[Identity], info: Info) -> datetime:
    return (await _sighting(identity, info)).last_at


async def _sighting(identity: Identity, info: Info) -> Sighting:
    sighting = await info.context.loaders.sighting_by_xid.load(identity.xid)
    if sighting is None:
        raise Vanished
    return sighting


async def _profiles(
    identities: Sequence[Identity], info: Info, *, merge_policy_id: PolicyArgument = None
) -> list[ShownProfile | None]:
    return await profiles_at((identity.xid for identity in identities), info, merge_policy_id)


@for_all(_profiles)
async def _profile(
    identity: strawberry.Parent[Identity], info: Info, *, merge_policy_id: PolicyArgument = None
) -> ShownProfile | None:
    return await profile_at(info, merge_policy_id, identity.xid)


@strawberry.type(
    name="Identity",
    description="A value in a namespace that data names: an e-mail address, a cookie, a customer number.",
)
class IdentityNode(Node):
    domain = Identity

    id: strawberry.ID = id_field("Global id of the identity.", "Identity", "xid")
    xid: strawberry.ID = resolved_by(
        _xid,
        "Stands for namespace and value wherever an identity is asked for: opaque, and the same for ever in this sandbox.",
        reads=Format.UUID,
    )
    namespace: NamespaceType = resolved_by(_namespace, "What kind of identity it is.", reads=related("namespace"))
    value: str = plain("The value, in the one spelling that its namespace compares.", Format.TEXT)
    is_primary: bool = resolved_by(
        _is_primary,
        "Whether at least one record or event is stored under it; others are only named beside it.",
        reads=Column("is_primary", Format.BOOLEAN, is_derived=True),
        weight=Weight(OBJECT),
    )
    first_seen_at: datetime = resolved_by(
        _first_seen_at,
        "The earliest time of anything that names it: of events when they happened, of records when they were last updated at their source, else when they came in.",
        reads=Column("first_seen_at", Format.TIME, is_derived=True),
        weight=Weight(OBJECT),
    )
    last_seen_at: datetime = resolved_by(
        _last_seen_at,
        "The latest time of anything that names it, in the same way.",
        reads=Column("last_seen_at", Format.TIME, is_derived=True),
        weight=Weight(OBJECT),
    )
    profile: Any = resolved_by(
        _profile, "The person it belongs to; null where no person has data under this policy.", ProfileField
    )


@strawberry.type(
    name="IdentityRef", description="An identity as it was asked for. Of an erased person only the xid stays."
)
class IdentityRefType:
    is_loaded = False

    namespace: str | None = strawberry.field(
        description="Code of the namespace as given; null where an xid was, or once erased."
    )
    value: str | None = strawberry.field(description="The value as given; null where an xid was, or once erased.")
    xid: strawberry.ID | None = resolved_by(_ref_xid, "The xid that stands for it; null where the status is INVALID.")


# ------------------------------------------------------------------------------------------------ graphs


async def _a(link: strawberry.Parent[Link], info: Info) -> Identity:
    return (await _read_known(info, [link.a]))[0]


async def _b(link: strawberry.Parent[Link], info: Info) -> Identity:
    return (await _read_known(info, [link.b]))[0]


def _link_sources(link: strawberry.Parent[Link], info: Info) -> list[Dataset]:
    return named_datasets(info.context, link.dataset_ids)


def named_datasets(context: Context, dataset_ids: Sequence[UUID]) -> list[Dataset]:
    """Return the datasets with these ids, sorted by name."""
    datasets = [context.config.datasets[dataset_id] for dataset_id in dataset_ids]
    return sorted(datasets, key=lambda dataset: dataset.name)


@strawberry.type(
    name="IdentityLink",
    description="Two identities that rows named together, which makes them one person or was refused.",
)
class IdentityLinkType:
    a: IdentityNode = resolved_by(_a, "The one end; of the two, the one with the smaller xid.")
    b: IdentityNode = resolved_by(_b, "The other end.")
    first_seen_at: datetime = attribute("first_at", "The earliest time at which a row named the two together.")
    last_seen_at: datetime = attribute("last_at", "The latest time at which a row named the two together.")
    sources: list[DatasetType] = resolved_by(
        _link_sources, "The datasets whose rows named them together, by name; none where they were linked by hand."
    )
    refusal: LinkRefusal | None = strawberry.field(
        description="Why the two are not one person because of it; null where they are."
    )


async def _graph_identities(
    graph: strawberry.Parent[Members], info: Info, *, namespaces: NamespacesArgument = None
) -> list[Identity]:
    return await identities_of(info, graph.xids, namespaces)


async def _links(graph: strawberry.Parent[Members], info: Info) -> tuple[Link, ...]:
    return (await info.context.loaders.graph_by_members.load(graph)).links


async def _refused_links(graph: strawberry.Parent[Members], info: Info) -> tuple[Link, ...]:
    return (await info.context.loaders.graph_by_members.load(graph)).refused_links


async def _refused_link_count(graph: strawberry.Parent[Members], info: Info) -> int:
    return (await info.context.loaders.graph_by_members.load(graph)).refused_link_count


@strawberry.type(
    name="IdentityGraph", description="The identities of one person, and the links that hold them together."
)
class IdentityGraphNode:
    identities: list[IdentityNode] = resolved_by(
        _graph_identities,
        "The person's identities, at most 50: people's own first, then those of devices and browsers.",
        reads=related("identities", is_list=True, passing=of_namespaces),
        raw=GRAPH,
    )
    links: list[IdentityLinkType] = resolved_by(
        _links, "The links between them, each pair once, by their xids; none where an identity is alone."
    )
    refused_links: list[IdentityLinkType] = resolved_by(
        _refused_links,
        "Links of theirs that join nobody, most of them to identities of other people, who show them too: the newest 100 by `lastSeenAt`, the newest first.",
    )
    refused_link_count: Long = resolved_by(
        _refused_link_count,
        "How many links of theirs join nobody, those beyond the 100 that `refusedLinks` shows included.",
    )


# ------------------------------------------------------------------------------------------------ queries


async def _identity(info: Info, identity: IdentityArgument) -> Identity | None:
    return (await read_identities(info.context, [input_xid(info.context, identity)]))[0]


async def _identity_graph(info: Info, identity: IdentityArgument) -> Members | None:
    return await info.context.loaders.members_by_xid.load(input_xid(info.context, identity))


async def _identity_graphs(info: Info, identities: IdentitiesArgument) -> list[Members | None]:
    return await info.context.loaders.members_by_xid.load_many(input_xids(info.context, identities))


async def read_identities(context: Context, keys: Sequence[UUID]) -> list[Identity | None]:
    """Read the identities with these xids, None for unknown and erased ones. Raises Forbidden."""
    found = await context.loaders.identity_by_xid.load_many(keys)
    return [None if identity is None or identity.is_erased else identity for identity in found]


@strawberry.type(description="Queries of identities and their graphs.")
class IdentityQuery:
    identity: IdentityNode | None = resolved_by(
        _identity,
        "An identity that any data names, be it only beside others; null for an unknown and for an erased one. Needs the scope `profile:read`.",
    )
    identity_graph: IdentityGraphNode | None = resolved_by(
        _identity_graph,
        "The graph of the person an identity belongs to; of an identity that is alone, a graph of one. Null for an unknown and for an erased identity. Needs the scope `profile:read`.",
    )
    identity_graphs: list[IdentityGraphNode | None] = resolved_by(
        _identity_graphs,
        "The graphs of the people that identities belong to, as many and in the order asked for; of two identities of one person the same twice. Null for each that is unknown or erased. Needs the scope `profile:read`.",
    )
