"""Kinds of jobs, and the rules of each: what an equal open job means, which slots it takes, how it may end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from gateway.storage.queries import Query, query


class JobKind(StrEnum):
    """The kind of a job; the worker has a handler for each."""

    MATERIALIZE_POLICY = "MATERIALIZE_POLICY"
    REGROUP_IDENTITIES = "REGROUP_IDENTITIES"
    ABORT_BATCH = "ABORT_BATCH"
    EXPIRE_EVENTS = "EXPIRE_EVENTS"
    EXPIRE_PROFILES = "EXPIRE_PROFILES"
    EXPIRE_ERRORS = "EXPIRE_ERRORS"
    EXPIRE_CHANGES = "EXPIRE_CHANGES"
    COMPLETE_BATCHES = "COMPLETE_BATCHES"
    EXPIRE_JOBS = "EXPIRE_JOBS"
    DELETE_DATASET = "DELETE_DATASET"
    DELETE_BATCH = "DELETE_BATCH"
    REVERT_BATCH = "REVERT_BATCH"
    EXPIRE_VERSIONS = "EXPIRE_VERSIONS"
    DELETE_PROFILE = "DELETE_PROFILE"
    BUILD_SEARCH_INDEX = "BUILD_SEARCH_INDEX"
    EXPIRE_SEARCH_INDEXES = "EXPIRE_SEARCH_INDEXES"
    BACKFILL_COMPUTED_ATTRIBUTE = "BACKFILL_COMPUTED_ATTRIBUTE"
    EXPIRE_COMPUTED_PARTIALS = "EXPIRE_COMPUTED_PARTIALS"
    REFRESH_KEPT_VALUES = "REFRESH_KEPT_VALUES"
    REPORT_PREVIEWS = "REPORT_PREVIEWS"
    EXPORT_PROFILES = "EXPORT_PROFILES"
    EXPIRE_EXPORTS = "EXPIRE_EXPORTS"
    BACKFILL_PROJECTION = "BACKFILL_PROJECTION"


class Equal(StrEnum):
    """What an open job of the same kind about the same subject means for a new one.

    REPLACE: it is cancelled, since the newest configuration counts. JOIN: it is the job; no other is added. REFUSE: the new one is refused,
    since somebody asked for the same work before.
    """

    REPLACE = "REPLACE"
    JOIN = "JOIN"
    REFUSE = "REFUSE"


class About(StrEnum):
    """What the subject of a job is, by the name of its type in the API. SANDBOX: the sandbox as a whole. PROFILE: the people of identities in its input.
    EXPORT: the job itself, so that several of them may be open.
    """

    SANDBOX = "Sandbox"
    BATCH = "Batch"
    DATASET = "Dataset"
    POLICY = "MergePolicy"
    PROFILE = "Profile"
    SEARCH_INDEX = "SearchIndex"
    ATTRIBUTE = "ComputedAttribute"
    EXPORT = "ExportJob"
    PROJECTION = "ProjectionConfiguration"


@dataclass(frozen=True, slots=True)
class KindRules:
    """The rules of a kind.

    `equal`: what an open job like a new one means. `is_long`: the work grows with the sandbox, not with a selection of its facts; long work has
    slots of its own. `must_complete` is why others depend on its end, as a sentence: such a job cannot be cancelled and never fails. It
    is empty for a kind that somebody may cancel, and that fails after MAX_JOB_ATTEMPTS attempts without progress. `every`: each sandbox
    has one such job, which is due again after this time. `about`: what the subject is. `may_be_withdrawn`: although it must complete, it can be
    cancelled until its first attempt. `is_single`: one such job works in a sandbox at a time, and the others wait for its end. `give_back` opens the subject again where the job ends CANCELLED or FAILED; it takes sandbox and job.
    `changes_configuration`: that changes the sandbox's configuration, which is locked before the job.
    """

    equal: Equal
    is_long: bool = False
    must_complete: str = ""
    about: About = About.SANDBOX
    every: timedelta | None = None
    may_be_withdrawn: bool = False
    is_single: bool = False
    give_back: Query | None = None
    changes_configuration: bool = False


def _recurring(every: timedelta, *, is_long: bool = False) -> KindRules:
    return KindRules(Equal.JOIN, is_long=is_long, must_complete="It comes again by itself.", every=every)


RULES: Final[Mapping[JobKind, KindRules]] = {
    JobKind.MATERIALIZE_POLICY: KindRules(
        Equal.REPLACE,
        is_long=True,
        must_complete="The policy is BUILDING until it is done; change the policy instead.",
        about=About.POLICY,
    ),
    JobKind.REGROUP_IDENTITIES: KindRules(
        Equal.REPLACE,
        is_long=True,
        must_complete="People are grouped by old and new settings until it is done; change the settings instead.",
    ),
    JobKind.ABORT_BATCH: KindRules(
        Equal.JOIN,
        must_complete="Documents of the batch that was given up would be left.",
        about=About.BATCH,
    ),
    JobKind.EXPIRE_EVENTS: _recurring(timedelta(days=1), is_long=True),
    JobKind.EXPIRE_PROFILES: _recurring(timedelta(days=1), is_long=True),
    JobKind.EXPIRE_VERSIONS: _recurring(timedelta(hours=1), is_long=True),
    JobKind.EXPIRE_ERRORS: _recurring(timedelta(hours=1)),
    JobKind.EXPIRE_CHANGES: _recurring(timedelta(hours=1)),
    JobKind.COMPLETE_BATCHES: _recurring(timedelta(hours=1)),
    JobKind.EXPIRE_JOBS: _recurring(timedelta(hours=1)),
    JobKind.DELETE_DATASET: KindRules(
        Equal.REFUSE, is_long=True, about=About.DATASET, give_back=query("dataset_removal.give_back_dataset")
    ),
    JobKind.DELETE_BATCH: KindRules(Equal.REFUSE, about=About.BATCH, give_back=query("batch_removal.give_back_batch")),
    JobKind.REVERT_BATCH: KindRules(
        Equal.REFUSE,
        must_complete="A part of the batch would be left, and its key names another one.",
        about=About.BATCH,
        may_be_withdrawn=True,
        give_back=query("batch_removal.give_back_batch"),
    ),
    JobKind.DELETE_PROFILE: KindRules(
        Equal.REFUSE,
        is_long=True,
        about=About.PROFILE,
        is_single=True,
        give_back=query("erasure.forget_identities"),
    ),
    JobKind.BUILD_SEARCH_INDEX: KindRules(
        Equal.JOIN, is_long=True, about=About.SEARCH_INDEX, give_back=query("search_indexes.give_up_index")
    ),
    JobKind.EXPIRE_SEARCH_INDEXES: _recurring(timedelta(hours=1), is_long=True),
    JobKind.BACKFILL_COMPUTED_ATTRIBUTE: KindRules(
        Equal.REPLACE,
        is_long=True,
        about=About.ATTRIBUTE,
        give_back=query("computed_attributes.give_up_backfill"),
        changes_configuration=True,
    ),
    JobKind.EXPIRE_COMPUTED_PARTIALS: _recurring(timedelta(days=1), is_long=True),
    JobKind.REFRESH_KEPT_VALUES: _recurring(timedelta(hours=1), is_long=True),
    JobKind.REPORT_PREVIEWS: _recurring(timedelta(hours=1), is_long=True),
    JobKind.EXPORT_PROFILES: KindRules(Equal.REFUSE, is_long=True, about=About.EXPORT),
    JobKind.EXPIRE_EXPORTS: _recurring(timedelta(hours=1)),
    JobKind.BACKFILL_PROJECTION: KindRules(
        Equal.JOIN,
        must_complete="Edges serve what was asked for before until it is done; change the configuration or its destination instead.",
        about=About.PROJECTION,
    ),
}
