"""Profiles: people as a merge policy shows them."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import strawberry

from gateway.api.attribute_documents import attributes_selected, entity_json_of
from gateway.api.computed_attributes import ComputedAttributeValueType, values_of, values_wanted
from gateway.api.conditions import condition_over
from gateway.api.context import Context, Info, attribute, for_all, plain, projection_of, resolved_by
from gateway.api.datasets import DatasetType
from gateway.api.entities import ProfileEntity
from gateway.api.events import (
    EventConnection,
    EventFilterInput,
    EventOrderInput,
    Events,
    FilterArgument,
    OrderArgument,
    events_of_each,
    request_of,
    rows_of,
)
from gateway.api.finished import Finished
from gateway.api.identities import (
    GRAPH,
    IdentitiesArgument,
    IdentityArgument,
    IdentityGraphNode,
    IdentityInput,
    IdentityNode,
    IdentityRef,
    IdentityRefType,
    PolicyArgument,
    ShownProfile,
    identities_of,
    input_keys,
    input_xid,
    named_datasets,
    policy_in,
    profile_at,
)
from gateway.api.loaders import size_of_profile
from gateway.api.merge import FieldProvenanceType, ProfileFragmentType
from gateway.api.namespaces import NamespacesArgument, of_namespaces
from gateway.api.nodes import Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, Listing, Slice
from gateway.api.policies import MergePolicyType
from gateway.api.profile_limits import ProfileLimitsType
from gateway.api.projections import EVERYTHING, computed_values, document_json, document_of, object_of, related
from gateway.api.record_versions import RecordVersionType, versions_of
from gateway.api.scalars import JSON, described
from gateway.api.selectors import SelectArgument, selector_of, subset_of
from gateway.api.weights import OBJECT, Weight
from gateway.domain.config.datasets import Dataset
from gateway.domain.reading import profiles, search
from gateway.domain.reading.attribute_explanations import ComputedProvenance, explain_values
from gateway.domain.reading.events import EventFilter
from gateway.domain.reading.identities import Identity
from gateway.domain.reading.identity_graphs import Members
from gateway.domain.reading.people_statements import ORIGIN, PERSON, WHOLE
from gateway.domain.reading.profile_limits import ProfileLimits, limits_of
from gateway.domain.reading.profiles import InvalidKey, Profile, ProfileResult, ProfileStatus
from gateway.domain.reading.record_versions import RecordVersion
from gateway.domain.reading.search import Search
from gateway.domain.rules.merge import Fragment, Provenance
from gateway.projection.tree import Column, Format
from gateway.runtime.slices import SLICES
from gateway.runtime.threads import COMPUTATIONS
from gateway.xdm.classes import XdmClass

described(
    ProfileStatus,
    "ProfileStatus",
    "What became of a person that was asked for.",
    FOUND="There is a profile.",
    NOT_FOUND="Nothing is known of the identity, or no person has data under this policy.",
    INVALID="No such identity can exist: the sandbox lacks the namespace, the namespace has no such value, the value names nobody, or the xid is none. `message` says which.",
    ERASED="The person was deleted for good; only the xid is remembered.",
    UNAVAILABLE="The server that keeps something of the person does not answer, while those of others do; try again. Only where people are spread over several servers.",
)


GRAPH_AND_ORIGIN: Final = frozenset({PERSON, ORIGIN})

MAX_IDENTITIES_INLINE: Final = 250
"""The most identities of one field that are computed without waiting for a time slice of the event loop."""

MAX_CHARACTERS_INLINE: Final = 50_000
"""The most characters of records that are explained on the event loop, which takes a few milliseconds."""

SEARCH_SHARE: Final = 0.3
"""The part of a request's time that one page of a search, or one count, may take."""

WhereArgument = Annotated[
    str | None,
    strawberry.argument(
        name="where",
        description='A condition in PQL over the person and their events: `homeAddress.city = "Rome" and xEvent.count() > 3`. Only those for whom it is true are found. A mistake in it is BAD_PQL with its line and column; a merge policy that keeps no profiles is BAD_INPUT.',
        metadata=condition_over(XdmClass.INDIVIDUAL_PROFILE),
    ),
]


# ------------------------------------------------------------------------------------------------ profiles


def _profile_id(profile: strawberry.Parent[Profile]) -> str:
    return str(profile.profile_id)


async def _identities(
    profile: strawberry.Parent[Profile], info: Info, *, namespaces: NamespacesArgument = None
) -> list[Identity]:
    return await identities_of(info, profile.person.xids, namespaces)


def _identity_graph(profile: strawberry.Parent[Profile]) -> Members:
    return Members(profile.person.xids, profile.person.is_contested)


async def _sources(profile: strawberry.Parent[Profile], info: Info) -> list[Dataset]:
    return named_datasets(info.context, (await info.context.loaders.origin_by_profile.load(profile)).sources)


async def _last_modified_at(profile: strawberry.Parent[Profile], info: Info) -> datetime:
    return (await info.context.loaders.origin_by_profile.load(profile)).modified_at


async def _fragments(profile: strawberry.Parent[Profile], info: Info) -> list[Fragment]:
    return await info.context.loaders.fragments_by_members.load(profile.person.xids)


async def _explain_all(
    explained: Sequence[Profile], info: Info, *, select: SelectArgument = None
) -> list[list[Provenance | ComputedProvenance]]:
    """Explain the profiles, in a thread where they are many or large."""
    wanted, config = selector_of(info.context, select), info.context.config
    fragments = await info.context.loaders.fragments_by_members.load_many([each.person.xids for each in explained])

    def explain() -> list[list[Provenance]]:
        pairs = zip(explained, fragments, strict=True)
        return [profiles.explain_profile(config, profile, given, wanted) for profile, given in pairs]

    is_small = sum(fragment.size for given in fragments for fragment in given) <= MAX_CHARACTERS_INLINE
    merged = explain() if is_small else await COMPUTATIONS.run(explain)
    names = None if wanted is None else attributes_selected(wanted, config, Profile)
    computed = await explain_values(info.context.db, info.context.scope, config, names or (), explained)
    return [[*of_records, *of_attributes] for of_records, of_attributes in zip(merged, computed, strict=True)]


@for_all(_explain_all)
async def _explain(
    profile: strawberry.Parent[Profile], info: Info, *, select: SelectArgument = None
) -> list[Provenance | ComputedProvenance]:
    return (await _explain_all([profile], info, select=select))[0]


async def _events_of_all(
    profiles: Sequence[Profile],
    info: Info,
    *,
    given: EventFilterInput | None = None,
    order_by: EventOrderInput | None = None,
    **page: Any,
) -> list[Events]:
    asked = request_of(given, order_by, conditions=info.context.conditions, **page)
    return await events_of_each((each.person.event_xids for each in profiles), info, asked)


@for_all(_events_of_all)
async def _events(
    profile: strawberry.Parent[Profile],
    info: Info,
    *,
    given: FilterArgument = None,
    order_by: OrderArgument = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Events:
    page = {"first": first, "after": after, "last": last, "before": before}
    return (await _events_of_all([profile], info, given=given, order_by=order_by, **page))[0]


async def _record_versions(
    profile: strawberry.Parent[Profile],
    info: Info,
    *,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[RecordVersion]:
    page = {"first": first, "after": after, "last": last, "before": before}
    return await versions_of(info.context.loaders, profile.person.xids, **page)


async def _limits(profile: strawberry.Parent[Profile], info: Info) -> ProfileLimits:
    counted = await info.context.loaders.event_count_by_members.load((EventFilter(), profile.person.event_xids))
    return limits_of(profile.person.size, counted, profile.size)


@strawberry.type(
    name="Profile", description="A person as a merge policy sees them: all that is known, from all sources."
)
class ProfileType(Node):
    domain = Profile
    present = "is_found"
    documents = XdmClass.INDIVIDUAL_PROFILE

    id: strawberry.ID = id_field(
        "Global id of the policy and the person, so that two policies' views of one person do not mix in a client's cache.",
        "Profile",
        "policy.policy_id",
        "profile_id",
    )
    profile_id: strawberry.ID = resolved_by(
        _profile_id,
        "The person: the xid of the identity that speaks for them. Any other of their xids finds them as well.",
        reads=Format.UUID,
    )
    merge_policy: MergePolicyType = attribute("policy", "The policy that the person is seen by.", raw=frozenset())
    identities: list[IdentityNode] = resolved_by(
        _identities,
        "All identities of the person, at most 50: people's own first, then those of devices and browsers.",
        reads=related("identities", is_list=True, passing=of_namespaces),
        raw=GRAPH,
    )
    identity_graph: IdentityGraphNode = resolved_by(
        _identity_graph,
        "Why these identities are one person; under a policy without a graph, the one identity alone.",
        reads=object_of,
        raw=GRAPH,
    )
    sources: list[DatasetType] = resolved_by(
        _sources,
        "The datasets whose records are in the document, by name; of a person without records, those of the events.",
        reads=related("sources", is_list=True),
        raw=GRAPH_AND_ORIGIN,
        weight=Weight(OBJECT),
    )
    last_modified_at: datetime = resolved_by(
        _last_modified_at,
        "When the newest of the records in the document came in; of a person without records, when the newest event did.",
        reads=Column("modified_at", Format.TIME, is_derived=True),
        raw=GRAPH_AND_ORIGIN,
        weight=Weight(OBJECT),
    )
    entity: ProfileEntity = attribute(
        "document",
        "The merged document, typed by the sandbox's union of all profile schemas and of its computed attributes, whose values are computed where they are selected.",
        reads=document_of,
        raw=EVERYTHING,
        computes=True,
    )
    entity_json: JSON = resolved_by(
        entity_json_of,
        "The merged document as JSON, cut down by a selector. It has values of computed attributes where the selector names these, or `ComputedAttributes`.",
        reads=document_json(partial(subset_of, XdmClass.INDIVIDUAL_PROFILE)),
        raw=EVERYTHING,
        computes=True,
    )
    fragments: list[ProfileFragmentType] = resolved_by(
        _fragments,
        "Every record of the person's identities, the newest first, whether the policy takes it or not.",
        raw=GRAPH,
    )
    record_versions: Connection[RecordVersionType] = resolved_by(
        _record_versions,
        "What the sources sent about the person, in versions, the newest first: by `ingestedAt`, of one time by batch, of one batch as it arrived. Read from the end, it is the order in which versions add up to fragments. Those of all identities of the person are one list, whether the policy takes the dataset or not.",
        raw=GRAPH,
        weight=Weight(5 * OBJECT),
    )
    explain: list[FieldProvenanceType] = resolved_by(
        _explain,
        "For each leaf of the document, or of what is selected: the value, who gave it, by which rule, and who lost. Values that are taken whole, such as a postal address, count as one leaf, also where the selector wants a part. `identityMap` comes from the identity graph, not from records, and is not among them. Computed attributes are where the selector names them.",
        raw=EVERYTHING,
        weight=Weight(itself=5 * OBJECT, size=20),
    )
    computed_attributes: list[ComputedAttributeValueType] = resolved_by(
        values_of,
        "What computed attributes have for the person at this moment, by the events of their identities and, for expressions over the profile, by the document under this policy.",
        reads=computed_values(values_wanted),
        raw=EVERYTHING,
        computes=True,
        weight=Weight(itself=10 * OBJECT, size=10),
    )
    events: EventConnection = resolved_by(
        _events,
        "What the person did, under any of their identities.",
        reads=lambda field: field.page(rows_of),
        raw=GRAPH,
    )
    limits: ProfileLimitsType = resolved_by(
        _limits,
        "How large the profile is, and which guardrails it has passed.",
        reads=object_of,
        raw=EVERYTHING,
        weight=Weight(5 * OBJECT),
    )


# ------------------------------------------------------------------------------------------------ answers


class Requested(NamedTuple):
    """An identity as the caller wrote it, and the result for it."""

    given: IdentityInput
    found: ProfileResult | InvalidKey

    @property
    def requested(self) -> IdentityRef:
        """The identity as the caller wrote it; for an erased person the xid alone."""
        if self.given.key and self.found.status is not ProfileStatus.ERASED:
            return IdentityRef(self.found.xid, self.given.key.namespace, self.given.key.value)
        return IdentityRef(self.found.xid)

    @property
    def message(self) -> str | None:
        """Why the identity is impossible, or its person cannot be read now; None for the others."""
        return self.found.message

    @property
    def parts(self) -> Sequence[str | None] | None:
        """What was to be read of the result, as JSON texts."""
        return None if isinstance(self.found, InvalidKey) else self.found.parts

    @property
    def identity(self) -> Identity | None:
        return self.found.identity

    @property
    def status(self) -> ProfileStatus:
        return self.found.status

    @property
    def profile(self) -> Profile | None:
        return self.found.profile


@strawberry.type(name="ProfileResult", description="What became of one of the identities that were asked for.")
class ProfileResultType:
    is_loaded = False

    requested: IdentityRefType = plain("The identity as it was asked for.", raw=frozenset())
    identity: IdentityNode | None = plain("The identity; null where it is unknown or erased.", raw=frozenset())
    status: ProfileStatus = plain("Whether there is a profile, and if not, why.", Format.TEXT)
    message: str | None = plain(
        "What is wrong with the identity and how to mend it, or why it cannot be read now; null unless the status is INVALID or UNAVAILABLE.",
        raw=frozenset(),
    )
    profile: ProfileType | None = plain("The profile; null unless the status is FOUND.", object_of, is_record=True)


async def _profile(
    info: Info, identity: IdentityArgument, *, merge_policy_id: PolicyArgument = None
) -> ShownProfile | None:
    return await profile_at(info, merge_policy_id, input_xid(info.context, identity))


async def _profiles(
    info: Info, identities: IdentitiesArgument, *, merge_policy_id: PolicyArgument = None
) -> list[Requested | Finished] | Finished:
    context, policy = info.context, policy_in(info.context.config, merge_policy_id)
    turn = SLICES if len(identities) > MAX_IDENTITIES_INLINE else nullcontext()
    async with turn:
        asked = policy.policy_id, projection_of(info, WHOLE)
        xids, keys = input_keys(context, identities)
    found: Sequence[Any] = await context.loaders.profiles_by_xids.load((asked, tuple(xids)))
    are_texts = asked[1].is_text and ProfileResult not in {*map(type, found)}
    if are_texts and len(xids) == len(keys):
        return Finished(found)
    async with turn:
        if len(xids) < len(keys):
            read = iter(found)
            found = [key if isinstance(key, InvalidKey) else next(read) for key in keys]
        return [
            Finished(each) if isinstance(each, str) else Requested(given, each)
            for given, each in zip(identities, found, strict=True)
        ]


async def _search_profiles(
    info: Info,
    *,
    where: WhereArgument = None,
    merge_policy_id: PolicyArgument = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[Profile]:
    context, policy = info.context, policy_in(info.context.config, merge_policy_id)
    listing: Listing[Profile] = Listing(f"profiles by {policy.policy_id}", lambda profile: (profile.profile_id,))
    window = listing.window(first, after, last, before)
    projection, own = projection_of(info, WHOLE), (context.db, context.scope)
    if where is None:
        page = await profiles.search_profiles(*own, context.config, policy, window, projection=projection)
        count = partial(profiles.count_profiles, *own, policy)
    else:
        condition = context.conditions[XdmClass.INDIVIDUAL_PROFILE, where]
        asked = Search(policy, condition, context.seconds_left * SEARCH_SHARE)
        page = await search.find_profiles(*own, context.config, asked, window, projection=projection)
        count = partial(search.count_profiles, *own, context.config, asked)
    context.loaders.budget.spend(sum(map(size_of_profile, page.items)))
    return listing.paged(page, count)


async def read_profiles(context: Context, keys: Sequence[tuple[UUID, UUID]]) -> list[Profile | None]:
    """Read the profiles with these pairs of a policy's id and a person's xid, None for unknown ones. Raises Forbidden, Unavailable."""
    known = [key for key in keys if key[0] in context.config.policies]
    load = context.loaders.profiles_by_xids.load
    by_policy: dict[UUID, list[UUID]] = {}
    for policy_id, xid in known:
        by_policy.setdefault(policy_id, []).append(xid)
    found = await asyncio.gather(*(load(((policy_id, WHOLE), tuple(xids))) for policy_id, xids in by_policy.items()))
    results_by_key = {
        (policy_id, xid): result
        for (policy_id, xids), results in zip(by_policy.items(), found, strict=True)
        for xid, result in zip(xids, results, strict=True)
        if isinstance(result, ProfileResult)
    }
    for error in filter(None, (result.error for result in results_by_key.values())):
        raise error
    return [results_by_key[key].profile if key in results_by_key else None for key in keys]


@strawberry.type(description="Queries of profiles.")
class ProfileQuery:
    profile: ProfileType | None = resolved_by(
        _profile,
        "The person an identity belongs to; null where no person has data under this policy. Needs the scope `profile:read`.",
    )
    profiles: list[ProfileResultType] = resolved_by(
        _profiles,
        "As many answers as identities, in the same order; two identities of one person give two. Needs the scope `profile:read`.",
    )
    search_profiles: Connection[ProfileType] = resolved_by(
        _search_profiles,
        "All profiles under a policy, or those for whom a condition is true, by the ids of people. A page of a search has fewer than asked for, even none, where it has looked at many people in vain: while `hasNextPage` is true, go on behind `endCursor`. Needs the scope `profile:read`.",
    )
