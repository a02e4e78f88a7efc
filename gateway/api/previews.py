"""The preview of profiles: how many people there are under a merge policy, and of what their data is made."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Final
from uuid import UUID

import strawberry

from gateway.api.context import Info, attribute, plain, projection_of, resolved_by
from gateway.api.datasets import DatasetType
from gateway.api.identities import PolicyArgument
from gateway.api.ids import global_id, parse_id
from gateway.api.namespaces import NamespaceType
from gateway.api.policies import MergePolicyType
from gateway.api.scalars import Long
from gateway.api.weights import OBJECT, Weight
from gateway.domain.reading import previews
from gateway.domain.reading.previews import (
    ALL_COUNTS,
    DATA,
    MAX_OVERLAPS,
    PEOPLE,
    PROFILES,
    RETENTION_DAYS,
    UNKNOWN_DAYS,
    ProfilePreview,
)
from gateway.domain.rules.durations import Duration
from gateway.projection.tree import Projection

SHARE_OF_TIME: Final = 0.4
"""The part of a request's time that each of the two long statements may take."""

EVERYTHING: Final = Projection((), ALL_COUNTS)
_NOTHING: Final = frozenset[str]()
_TOTAL, _OF_DATA, _OF_PEOPLE = frozenset({PROFILES}), frozenset({DATA}), frozenset({PEOPLE})

LISTED: Final = 10
"""Datasets, and namespaces, that a sandbox usually has."""


def _listed(days: Sequence[int]) -> str:
    *others, last = map(str, days)
    return f"{', '.join(others)} and {last}"


_REST: Final = f"The {MAX_OVERLAPS} sets of most profiles are told one by one, those of most first. An entry without keys at the end is for all other profiles: so all entries sum to `totalProfiles`."

OnArgument = Annotated[
    date | None,
    strawberry.argument(
        name="on",
        description="A day in UTC: its report, as it was taken then; null where none was taken, or it is kept no longer. Left out, people are counted as of now.",
    ),
]


@strawberry.type(name="DatasetShare", description="How much a dataset takes part in profiles.")
class DatasetShareType:
    is_loaded = False

    dataset: DatasetType = plain("The dataset whose share this is; it holds something.")
    profiles: Long = plain(
        "How many profiles have data of it: a record that takes part by the merge policy, or an event."
    )
    percentage: float = plain("The part of all profiles that these are, from 0 to 1.")
    records: Long = plain("How many records, or events, it holds.")


@strawberry.type(name="NamespaceShare", description="How much a namespace takes part in profiles.")
class NamespaceShareType:
    is_loaded = False

    namespace: NamespaceType = plain("The namespace whose share this is.")
    profiles: Long = plain("How many profiles have an identity of it. One with several namespaces counts in each.")
    fragments: Long = plain("How many fragments are stored under identities of it, as `totalFragments` counts them.")
    percentage: float = plain("The part of all profiles that were looked at that these are, from 0 to 1.")


def _keys(overlap: strawberry.Parent[previews.Overlap]) -> list[str]:
    return list(overlap.keys)


@strawberry.type(
    name="Overlap", description="The profiles that have exactly these datasets or namespaces, and no others."
)
class OverlapType:
    is_loaded = False

    keys: list[str] = resolved_by(
        _keys, "The `id` of each dataset, or the `code` of each namespace; none for all profiles that no other set has."
    )
    profiles: Long = plain("How many profiles these are. Sets are disjoint.")


def _window(unknown: strawberry.Parent[previews.UnknownProfiles]) -> Duration:
    return Duration(unknown.days, "D")


@strawberry.type(
    name="UnknownProfiles",
    description="Profiles that nothing has joined with others, and of which nothing was heard for some time: a single fragment, and no event with a `timestamp` within the window.",
)
class UnknownProfilesType:
    is_loaded = False

    window: Duration = resolved_by(_window, "For how long they had no event, up to now.")
    profiles: Long = plain("How many there are.")
    events: Long = plain("How many older events they have.")
    by_namespace: list[NamespaceShareType] = plain(
        "The same by namespace; `percentage` is of the unknown profiles of this window."
    )


@strawberry.type(name="RetentionCount", description="What would remain of a dataset that kept events for some days.")
class RetentionCountType:
    is_loaded = False

    dataset: DatasetType = plain("The dataset that is looked at.")
    days: int = plain("For how many days.")
    events: Long = plain("How many events would remain: those with a `timestamp` within these days.")
    records: Long = plain("How many records would remain: all of them, whatever their age.")


def _dataset_overlap(preview: strawberry.Parent[ProfilePreview]) -> list[previews.Overlap]:
    return [
        each._replace(keys=tuple(global_id("Dataset", UUID(key)) for key in each.keys))
        for each in preview.dataset_overlap
    ]


@strawberry.type(
    name="ProfilePreview",
    description="The profiles of a sandbox under a merge policy in numbers. Everything is counted, nothing estimated, and all at one moment.",
)
class ProfilePreviewType:
    is_loaded = False

    merge_policy: MergePolicyType = attribute("policy", "The policy that people are seen by.", raw=_NOTHING)
    taken_at: datetime = plain("When this was counted.", raw=_NOTHING)
    is_exact: bool = plain(
        "Whether this is of the moment that was asked for: now, or the report of the day that was named. False where counting took too long, and the newest daily report stands here: `takenAt` says how old it is.",
        raw=_NOTHING,
    )
    total_profiles: Long = plain("How many profiles there are, those of people with events only included.", raw=_TOTAL)
    total_fragments: Long = plain(
        "How many fragments they are made of: what one dataset holds under one identity, a record or events.",
        raw=_OF_DATA,
    )
    total_events: Long = plain("How many events they have.", raw=_OF_DATA)
    last_updated_at: datetime | None = plain(
        "When documents last came into a batch of which something is stored; null where nothing is.", raw=_NOTHING
    )
    retention: list[RetentionCountType] = plain(
        f"What would remain of each dataset that holds something after {_listed(RETENTION_DAYS)} days: by the name of the dataset, then by days.",
        raw=_OF_DATA,
        weight=Weight(size=LISTED * len(RETENTION_DAYS)),
    )
    by_dataset: list[DatasetShareType] = plain(
        "How much each dataset that holds something takes part, the one of most profiles first.",
        raw=_OF_DATA | _OF_PEOPLE,
        weight=Weight(size=LISTED),
    )
    by_namespace: list[NamespaceShareType] = plain(
        "How much each namespace takes part that a profile has, the one of most profiles first.",
        raw=_OF_PEOPLE,
        weight=Weight(size=LISTED),
    )
    dataset_overlap: list[OverlapType] = resolved_by(
        _dataset_overlap,
        f"How many profiles have exactly which datasets: those that `byDataset` counts. {_REST}",
        raw=_OF_PEOPLE,
        weight=Weight(size=MAX_OVERLAPS),
    )
    namespace_overlap: list[OverlapType] = plain(
        f"How many profiles have identities of exactly which namespaces. {_REST}",
        raw=_OF_PEOPLE,
        weight=Weight(size=MAX_OVERLAPS),
    )
    unknown_profiles: list[UnknownProfilesType] = plain(
        f"Unknown profiles by windows of {_listed(UNKNOWN_DAYS)} days.", raw=_OF_PEOPLE
    )


async def _preview(
    info: Info, *, merge_policy_id: PolicyArgument = None, on: OnArgument = None
) -> ProfilePreview | None:
    context = info.context
    policy_id = None if merge_policy_id is None else parse_id(merge_policy_id, "MergePolicy", "mergePolicyId")
    if on is not None:
        return await previews.read_report(context.db, context.scope, context.config, policy_id, on)
    return await previews.preview_profiles(
        *(context.db, context.scope, context.configurations, policy_id),
        seconds=context.seconds_left * SHARE_OF_TIME,
        wanted=projection_of(info, EVERYTHING).raw,
    )


@strawberry.type(description="Queries of previews of profiles.")
class PreviewQuery:
    profile_preview: ProfilePreviewType | None = resolved_by(
        _preview,
        "How many profiles there are, and of what they are made, as of now or as a daily report told it. Only what is selected is counted. The merge policy has to keep its profiles. Needs the scope `profile:read`.",
        weight=Weight(1_000 * OBJECT),
    )
