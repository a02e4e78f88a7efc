"""Changes of people, for programs that keep up with them: each names the person, and means that they have to be read again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any

import strawberry

from gateway.api.context import Info, for_all, plain, resolved_by
from gateway.api.identities import PolicyArgument, ProfileField, ShownProfile, policy_in, profiles_under
from gateway.api.pagination import After, Before, Edge, First, Last, Listing, PageInfo
from gateway.api.scalars import Long, described
from gateway.domain.reading import changes
from gateway.domain.reading.changes import ChangePage, ProfileChange
from gateway.domain.reading.followed_attributes import follow_attributes
from gateway.domain.rules.changes import Position
from gateway.domain.views.effects import ChangeKind

described(
    ChangeKind,
    "ProfileChangeKind",
    "What happened to a person. Under a policy without a graph, CREATED, UPDATED, EVENTS or DELETED.",
    CREATED="There was no such person.",
    UPDATED="What their records say changed, or their identities.",
    MERGED="Other people, `formerProfileIds`, belong to this one now.",
    SPLIT="Some identities of another person, whom `formerProfileIds` names, are this one's now, or some of this one's are another's.",
    EVENTS="Events came or went, and nothing else.",
    DELETED="Nobody has any of their identities now.",
)


@cache
def listing(sandbox_id: int) -> Listing[Position]:
    """Return the list of a sandbox's changes, whose cursors are positions."""
    return Listing(f"changes of {sandbox_id}", lambda position: position.key)


@dataclass(frozen=True, slots=True)
class ChangeSlice:
    """A page of changes, with the attributes that a connection reads. It ends where the next page begins, also where it is empty."""

    listing: Listing[Position]
    page: ChangePage

    @property
    def nodes(self) -> list[ProfileChange]:
        return self.page.items

    @property
    def edges(self) -> list[Edge[ProfileChange]]:
        return [Edge(change, self.listing.cursor(change.position)) for change in self.page.items]

    @property
    def page_info(self) -> "ChangeSlice":
        """The slice itself, which `PageInfo` reads from."""
        return self

    @property
    def start_cursor(self) -> str | None:
        """The cursor of the first change, None on an empty page."""
        return self.listing.cursor(self.page.items[0].position) if self.page.items else None

    @property
    def end_cursor(self) -> str:
        """The cursor behind the page."""
        return self.listing.cursor(self.page.end)


async def _cursors(shown: Sequence[ProfileChange], info: Info) -> list[str]:
    listed = listing(info.context.scope.sandbox_id)
    return [listed.cursor(change.position) for change in shown]


@for_all(_cursors)
async def _cursor(change: strawberry.Parent[ProfileChange], info: Info) -> str:
    return (await _cursors([change], info))[0]


def _profile_id(change: strawberry.Parent[ProfileChange]) -> str:
    return str(change.profile_id)


def _former_profile_ids(change: strawberry.Parent[ProfileChange]) -> list[str]:
    return list(map(str, change.former_profile_ids))


async def _profiles(shown: Sequence[ProfileChange], info: Info) -> list[ShownProfile | None]:
    return await profiles_under(shown[0].policy, [change.profile_id for change in shown], info)


@for_all(_profiles)
async def _profile(change: strawberry.Parent[ProfileChange], info: Info) -> ShownProfile | None:
    return (await _profiles([change], info))[0]


@strawberry.type(
    name="ProfileChange", description="Something that happened to a person: a reason to read this person again."
)
class ProfileChangeType:
    cursor: str = resolved_by(_cursor, "The place right behind the change, for `after`; opaque.")
    kind: ChangeKind = plain("What happened to the person.")
    profile_id: strawberry.ID = resolved_by(
        _profile_id, "The person. Whoever it was merged into says so in `formerProfileIds`."
    )
    version: Long = plain(
        "A number that grows with each change of the person, also when the id goes and comes back. Events wait for nobody: of theirs it may be smaller than one that came before."
    )
    at: datetime = plain("When the documents or the request that changed the person came in.")
    changed_paths: list[list[str]] | None = plain(
        "Which parts of the document changed, as paths that end at maps; of the default policy's document alone, and null where they are not known.",
    )
    former_profile_ids: list[strawberry.ID] = resolved_by(
        _former_profile_ids, "People who were merged into this one, or of whom this one was split off; empty otherwise."
    )
    profile: Any = resolved_by(
        _profile, "The person as they are now, under the policy; null where there is none any more.", ProfileField
    )


@strawberry.type(name="ProfileChangeEdge", description="A change together with its place in the list.")
class ProfileChangeEdge:
    cursor: str = plain("The place right behind the change; opaque, and equal to the change's own `cursor`.")
    node: ProfileChangeType = plain("The change itself, the same object that `nodes` holds.")


@strawberry.type(
    name="ProfileChangeConnection",
    description="A page of changes. Its `endCursor` is where to go on, also where the page is empty, and stays good for as long as changes are kept.",
)
class ProfileChangeConnection:
    edges: list[ProfileChangeEdge] = plain("The page's changes, each with its cursor, in the list's order.")
    nodes: list[ProfileChangeType] = plain("The page's changes, in the list's order.")
    page_info: PageInfo = plain("Whether there are more changes by now, and the cursors of the page's ends.")


AttributesArgument = Annotated[
    list[str] | None,
    strawberry.argument(
        name="attributes",
        description="Names of published computed attributes whose values the caller keeps up with. From then on a window of theirs that slides is a change, too: UPDATED with the path of the attribute that slid, within an hour, until nobody names it for as long as indexes of searches are kept. Another name is BAD_INPUT.",
    ),
]


async def _profile_changes(
    info: Info,
    *,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    merge_policy_id: PolicyArgument = None,
    attributes: AttributesArgument = None,
) -> ChangeSlice:
    context = info.context
    policy, ordered = policy_in(context.config, merge_policy_id), listing(context.scope.sandbox_id)
    window = ordered.window(first, after, last, before)
    if attributes:
        await follow_attributes(context.db, context.scope, context.config, policy, attributes)
    return ChangeSlice(ordered, await changes.list_changes(context.db, context.scope, policy, window))


@strawberry.type(description="Queries of changes.")
class ChangeQuery:
    profile_changes: ProfileChangeConnection = resolved_by(
        _profile_changes,
        "What happened to people, each change at least once, those of one person in order. Without `after` from the oldest one kept; `first: 0` gives the present position as `endCursor`. A cursor behind which changes are kept no longer is CURSOR_EXPIRED. Needs the scope `profile:read`.",
    )
