"""System jobs: long work that people can watch, and the job that a mutation has started."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import strawberry

from gateway.api.context import Context, Info, attribute, itself, later, plain, resolved_by
from gateway.api.datasets import DatasetType
from gateway.api.erasure import DeleteProfileInput, start_erasure
from gateway.api.identities import IdentityRef, IdentityRefType
from gateway.api.ids import input_id, naming_jobs
from gateway.api.mutations import MutationResult, UserError, changed, mutation, user_errors
from gateway.api.nodes import Node, id_field, look_up
from gateway.api.pagination import After, Before, Connection, First, Last, Listing, OrderDirection, Slice
from gateway.api.scalars import Long, described
from gateway.domain.config.computed_attributes import ComputedAttribute
from gateway.domain.config.datasets import Dataset
from gateway.domain.config.policies import MergePolicy
from gateway.domain.config.projection_configurations import ProjectionConfiguration
from gateway.domain.config.search_indexes import SearchIndex
from gateway.domain.facts.batches import Batch
from gateway.domain.operations.batch_removal import delete_batch, revert_batch
from gateway.domain.operations.dataset_removal import delete_dataset
from gateway.domain.operations.erasure import DeleteScope
from gateway.domain.rules.scope import Permission
from gateway.domain.work import job_lists, jobs
from gateway.domain.work.job_kinds import RULES, About
from gateway.domain.work.job_lists import JobFilter, JobOrder, JobOrderField
from gateway.domain.work.jobs import Job, JobStatus
from gateway.domain.work.receipts import DeletionReceipt

described(
    JobStatus,
    "JobStatus",
    "Where a job stands.",
    NEW="It waits for its first attempt, or for the next one: then `error` says what went wrong in the last.",
    PROCESSING="A worker is at it; if that one is killed, another goes on where it was.",
    COMPLETED="It is done.",
    FAILED="It was given up after many attempts without progress; `error` says why.",
    CANCELLED="It was cancelled, or a newer one took its place; what it had done by then stays.",
)


class SystemJobType(StrEnum):
    """What a system job does. Kinds of the domain have the same names; some of these come later."""

    DELETE_DATASET = "DELETE_DATASET"
    DELETE_BATCH = "DELETE_BATCH"
    DELETE_PROFILE = "DELETE_PROFILE"
    REVERT_BATCH = "REVERT_BATCH"
    ABORT_BATCH = "ABORT_BATCH"
    MATERIALIZE_POLICY = "MATERIALIZE_POLICY"
    REGROUP_IDENTITIES = "REGROUP_IDENTITIES"
    BACKFILL_COMPUTED_ATTRIBUTE = "BACKFILL_COMPUTED_ATTRIBUTE"
    EXPIRE_EVENTS = "EXPIRE_EVENTS"
    EXPIRE_PROFILES = "EXPIRE_PROFILES"
    BACKFILL_PROJECTION = "BACKFILL_PROJECTION"
    EXPIRE_ERRORS = "EXPIRE_ERRORS"
    EXPIRE_CHANGES = "EXPIRE_CHANGES"
    COMPLETE_BATCHES = "COMPLETE_BATCHES"
    EXPIRE_JOBS = "EXPIRE_JOBS"
    EXPIRE_VERSIONS = "EXPIRE_VERSIONS"
    BUILD_SEARCH_INDEX = "BUILD_SEARCH_INDEX"
    EXPIRE_SEARCH_INDEXES = "EXPIRE_SEARCH_INDEXES"
    EXPIRE_COMPUTED_PARTIALS = "EXPIRE_COMPUTED_PARTIALS"
    REFRESH_KEPT_VALUES = "REFRESH_KEPT_VALUES"
    REPORT_PREVIEWS = "REPORT_PREVIEWS"
    EXPIRE_EXPORTS = "EXPIRE_EXPORTS"


described(
    SystemJobType,
    "SystemJobType",
    "What a system job does. Those that expire something, or complete batches, come again by themselves in every sandbox.",
    DELETE_DATASET="Deletes all that came into a dataset, its batches included; the dataset stays, empty.",
    DELETE_BATCH="Deletes all that came with a batch, for good: its key is refused from then on.",
    DELETE_PROFILE="Erases people: what is stored under their identities goes, others no longer name them, and what is sent about them is refused.",
    REVERT_BATCH="Takes back all that came with a complete batch, as if it had never been sent; its key names another one then.",
    ABORT_BATCH="Takes back all that came with a batch that `abortBatch` gave up.",
    MATERIALIZE_POLICY="Merges everybody by a merge policy whose profiles are kept from now on, or drops what it kept.",
    REGROUP_IDENTITIES="Builds the identity graphs of everybody anew, after a change of the identity settings.",
    BACKFILL_COMPUTED_ATTRIBUTE="Reads the events that are there for a computed attribute that was published.",
    EXPIRE_EVENTS="Removes events that are older than the `eventRetentionDays` of their dataset, and people of whom nothing is left.",
    EXPIRE_PROFILES="Removes pseudonymous people about whom nothing has come in for the days of their sandbox's `pseudonymousExpiry`.",
    BACKFILL_PROJECTION="Fills edges with what a projection configuration takes of everybody, since it is new, or what it takes is another by now. Edges serve what they have until they have all of it.",
    EXPIRE_ERRORS="Removes stored refusals of documents, and warnings, that are older than they are kept.",
    EXPIRE_CHANGES="Removes changes from the journal that are older than it keeps them.",
    COMPLETE_BATCHES="Completes batches that got no document for some days.",
    EXPIRE_JOBS="Removes jobs that ended some days ago, but for those that deleted something.",
    EXPIRE_VERSIONS="Ends the time in which batches of records can be reverted, and removes versions of records that were replaced before.",
    BUILD_SEARCH_INDEX="Makes an index for searches, which somebody or a search asked for.",
    REFRESH_KEPT_VALUES="Brings the values of computed attributes that searches read up to date, tells of those whose window has slid, and drops those that no search read for some weeks.",
    REPORT_PREVIEWS="Keeps the report of the day of `profilePreview` for each merge policy that keeps profiles, and removes old ones.",
    EXPIRE_EXPORTS="Removes files of exports whose time is over, and what is left of exports that ended or were deleted.",
    EXPIRE_SEARCH_INDEXES="Drops indexes for searches that no search used for some weeks, that were deleted, or whose field is gone.",
    EXPIRE_COMPUTED_PARTIALS="Drops what is kept for computed attributes of times that no look-back reaches any more, and starts jobs that "
    "read the past for attributes of which nothing is kept yet.",
)


described(
    JobOrderField,
    "JobOrderField",
    "What jobs are ordered by; where that is equal, by id.",
    CREATED_AT="When the job was made.",
    UPDATED_AT="When it last began, got on or ended.",
)

JobId = Annotated[strawberry.ID, strawberry.argument(name="id", description="The `id` of a system job.")]


# ------------------------------------------------------------------------------------------------ types


def _subject(job: Job, about: About) -> UUID | None:
    return job.subject if RULES[job.kind].about is about else None


async def _batch(job: strawberry.Parent[Job], info: Info) -> Batch | None:
    batch_id = _subject(job, About.BATCH)
    return None if batch_id is None else await info.context.loaders.batch_by_id.load(batch_id)


async def _dataset(job: strawberry.Parent[Job], info: Info) -> Dataset | None:
    if (dataset_id := _subject(job, About.DATASET)) is not None:
        return info.context.config.datasets.find(dataset_id)
    batch = await _batch(job, info)
    return None if batch is None else info.context.config.datasets.find(batch.dataset_id)


def _policy(job: strawberry.Parent[Job], info: Info) -> MergePolicy | None:
    policy_id = _subject(job, About.POLICY)
    return None if policy_id is None else info.context.config.policies.find(policy_id)


async def _search_index(job: strawberry.Parent[Job], info: Info) -> SearchIndex | None:
    index_id = _subject(job, About.SEARCH_INDEX)
    return None if index_id is None else await info.context.loaders.search_index_by_id.load(index_id)


def _computed_attribute(job: strawberry.Parent[Job], info: Info) -> ComputedAttribute | None:
    attribute_id = _subject(job, About.ATTRIBUTE)
    return None if attribute_id is None else info.context.config.attributes.find(attribute_id)


def _projection(job: strawberry.Parent[Job], info: Info) -> ProjectionConfiguration | None:
    configuration_id = _subject(job, About.PROJECTION)
    return None if configuration_id is None else info.context.config.projections.find(configuration_id)


@strawberry.type(description="What a job has done so far.")
class JobMetrics:
    records_processed: Long = attribute("metrics.records", "How many records, events and other rows it has worked on.")
    profiles_affected: Long = attribute("metrics.profiles", "How many people it has changed, counted once a piece.")
    time_taken_in_sec: float = attribute("seconds", "Seconds from its first attempt to its last piece, or to its end.")


@strawberry.type(
    name="DeletionReceipt",
    description="What a job has deleted from each store so far, counted. It names nobody, and stays for good.",
)
class DeletionReceiptType:
    record_versions: Long = plain("Versions of records.")
    events: Long = plain("Events, and copies of events that were sent again.")
    ties: Long = plain("Documents' statements that identities belong together; equal ones of a batch count once.")
    identities: Long = plain("Identities that no document names any more.")
    profiles: Long = plain("People of whom nothing is left; of people who were erased, as they were before.")
    computed_values: Long = plain("Values of computed attributes that were stored for searches.")
    projections: Long = plain("Projections that edges had of people who were erased.")
    unconfirmed_data_centers: list[str] = plain(
        "Data centres whose edges had yet to confirm it when they were taken out of `GATEWAY_EDGES`: what they have is told by nobody."
    )
    errors: Long = plain("Documents that had been refused, and were kept with their batch.")
    redacted_mentions: Long = plain(
        "Places in the documents of others where an erased identity stood, in every version of them."
    )
    export_files: Long = plain("Files of exports that held one of these people, which nobody can read any more.")
    export_locations: list[str] = plain(
        "The URLs outside the directory of exports at which these files were, or what was begun of others: copies that were made there are yours to delete."
    )
    completed_at: datetime | None = plain("When the job ended; null until then.")


@dataclass(frozen=True, slots=True)
class ShownReceipt(DeletionReceipt):
    """A receipt with the time when its job ended, None until then."""

    completed_at: datetime | None = None


def _receipt(job: strawberry.Parent[Job]) -> DeletionReceipt | None:
    ended_at = None if job.is_open else job.updated_at
    return job.receipt and ShownReceipt(**asdict(job.receipt), completed_at=ended_at)


def _identities(job: strawberry.Parent[Job]) -> list[IdentityRef]:
    return [IdentityRef(UUID(xid)) for xid in (job.input or {}).get("identities", ())]


def _scope(job: strawberry.Parent[Job]) -> DeleteScope | None:
    scope = (job.input or {}).get("scope")
    return None if scope is None else DeleteScope(scope)


def _is_dry_run(job: strawberry.Parent[Job]) -> bool:
    return bool((job.input or {}).get("is_dry_run"))


def _type(job: strawberry.Parent[Job]) -> SystemJobType:
    return SystemJobType(job.kind)


@strawberry.type(
    name="SystemJob",
    description="Work that takes longer than a request. It is finished however often it is interrupted.",
)
class SystemJobNode(Node):
    domain = Job

    id: strawberry.ID = id_field("Global id of the job.", "SystemJob", "job_id")
    type: SystemJobType = resolved_by(_type, "What it does.")
    status: JobStatus = plain("Where it stands.")
    dataset: DatasetType | None = resolved_by(
        _dataset, "The dataset that it works on, or that its batch is of; null where it works on none, or that is gone."
    )
    batch: Any = resolved_by(
        _batch,
        "The batch that it works on; null where it works on none, or that is gone.",
        later("gateway.api.batches", "BatchType") | None,
    )
    merge_policy: Any = resolved_by(
        _policy,
        "The merge policy that it works on; null where it works on none, or that is gone.",
        later("gateway.api.policies", "MergePolicyType") | None,
    )
    computed_attribute: Any = resolved_by(
        _computed_attribute,
        "The computed attribute for which it reads the history of people; null where it reads none, or that is gone.",
        later("gateway.api.computed_attributes", "ComputedAttributeType") | None,
    )
    search_index: Any = resolved_by(
        _search_index,
        "The index that it makes; null where it makes none, or that is gone.",
        later("gateway.api.search_indexes", "SearchIndexNode") | None,
    )
    projection_configuration: Any = resolved_by(
        _projection,
        "The projection configuration that it fills edges with; null where it fills none, or that is gone.",
        later("gateway.api.projection_configurations", "ProjectionConfigurationType") | None,
    )
    identities: list[IdentityRefType] = resolved_by(
        _identities, "The identities that a deletion of people was given, by xid, until it ends; none for other jobs."
    )
    scope: DeleteScope | None = resolved_by(_scope, "How far a deletion of people goes; null for other jobs.")
    is_dry_run: bool = resolved_by(_is_dry_run, "Whether it only counts what it would delete.")
    metrics: JobMetrics = resolved_by(itself, "What it has done so far.")
    done: Long = plain("How many of `total` are done.")
    total: Long | None = plain(
        "How much there is to do, counted when it began, or estimated while it reads the past of a computed attribute; null until then, equal to `done` once the job is completed."
    )
    progress: float | None = plain("How much of it is done, from 0 to 1; null until the total is known.")
    error: str | None = plain("Why its last attempt was put off, or why it failed; null once it gets on.")
    attempts: int = plain("How often workers took it up.")
    created_at: datetime = plain("When it was made.")
    created_by: str | None = plain(
        "Who caused it: the subject of a token, or the user of a command; `gateway` for what recurs, null where that is not known."
    )
    started_at: datetime | None = plain("When a worker took it up first; null until then.")
    updated_at: datetime = plain("When it last began, got on or ended.")
    receipt: DeletionReceiptType | None = resolved_by(
        _receipt, "What it deleted; null for a job that deletes nothing, and until it has begun."
    )


# ------------------------------------------------------------------------------------------------ queries


@strawberry.input(description="Which jobs are wanted: those that fit all that is given.")
class SystemJobFilter:
    status: list[JobStatus] | None = plain("Only jobs of one of these statuses.", default=None)
    type: list[SystemJobType] | None = plain(
        "Only jobs of one of these types. Without it the jobs that come again by themselves are left out.", default=None
    )


@strawberry.input(name="JobOrder", description="How jobs are ordered.")
class JobOrderInput:
    field: JobOrderField = plain("What to order by.", default=JobOrderField.CREATED_AT)
    direction: OrderDirection = plain("Which end comes first.", default=OrderDirection.DESC)


Filter = Annotated[
    SystemJobFilter | None, strawberry.argument(name="filter", description="Which jobs are wanted; all without it.")
]
OrderBy = Annotated[
    JobOrderInput | None, strawberry.argument(description="How the jobs are ordered; the newest first without it.")
]


async def _system_jobs(
    info: Info,
    *,
    wanted: Filter = None,
    order_by: OrderBy = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[Job]:
    db, scope = info.context.db, info.context.scope
    of = JobFilter(wanted.status, wanted.type) if wanted else job_lists.EVERY_JOB
    given = order_by or JobOrderInput()
    order = JobOrder(given.field, descending=given.direction is OrderDirection.DESC)
    listing = Listing(f"systemJobs by {order.field}, {given.direction}", order.key)
    page = await job_lists.list_jobs(db, scope, of, order, listing.window(first, after, last, before))
    return listing.paged(page, lambda: job_lists.count_jobs(db, scope, of))


async def _system_job(info: Info, job_id: JobId) -> Job | None:
    return await look_up(info.context, read_jobs, job_id, "SystemJob")


async def read_jobs(context: Context, keys: Sequence[UUID]) -> list[Job | None]:
    """Read the jobs with these ids, None for those that the sandbox lacks. Raises Forbidden."""
    context.scope.require(*jobs.READ_JOBS)
    found = await context.loaders.job_by_id.load_many(keys)
    return [None if job and RULES[job.kind].about is About.EXPORT else job for job in found]


@strawberry.type(description="Queries of system jobs.")
class SystemJobQuery:
    system_jobs: Connection[SystemJobNode] = resolved_by(
        _system_jobs,
        "The jobs of the sandbox. Those that ended are kept for some weeks, those with a receipt for good.",
    )
    system_job: SystemJobNode | None = resolved_by(
        _system_job, "The job with this id; null where the sandbox has none."
    )


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="A job to be cancelled.")
class CancelInput:
    id: strawberry.ID = plain("The job to cancel.")


@strawberry.type(description="The job that was made or changed, or what was wrong.")
class SystemJobPayload:
    system_job: SystemJobNode | None = changed("The job as it is now; null where nothing was done.")
    user_errors: list[UserError] = user_errors()


@strawberry.input(one_of=True, description="What a job is to delete or take back: exactly one.")
class SystemJobInput:
    delete_dataset: strawberry.ID | None = plain(
        "A dataset: all that came into it goes, its batches included, so that their keys are free. It stays, DELETING and closed to documents meanwhile, ACTIVE and empty afterwards.",
        default=strawberry.UNSET,
    )
    delete_batch: strawberry.ID | None = plain(
        "A batch: all that came with it goes for good, refused documents included, and its key is refused from now on.",
        default=strawberry.UNSET,
    )
    revert_batch: strawberry.ID | None = plain(
        "A complete batch, or a rolling one: all that came with it is taken back, as if it had never been sent, so that earlier versions of records come back. CONFLICT for one whose `revertibleUntil` is over. The same key gives another batch.",
        default=strawberry.UNSET,
    )
    delete_profile: DeleteProfileInput | None = plain(
        "People to be erased: what is stored under their identities goes for good, and what is sent about them from now on is refused.",
        default=strawberry.UNSET,
    )


async def _create(context: Context, given: SystemJobInput) -> Job:
    db, scope = context.db, context.scope
    with naming_jobs():
        if isinstance(given.delete_dataset, str):
            return await delete_dataset(db, scope, input_id(given.delete_dataset, "Dataset", "deleteDataset"))
        if isinstance(given.delete_batch, str):
            return await delete_batch(db, scope, input_id(given.delete_batch, "Batch", "deleteBatch"))
        if isinstance(given.delete_profile, DeleteProfileInput):
            return await start_erasure(context, given.delete_profile)
        return await revert_batch(db, scope, input_id(given.revert_batch or "", "Batch", "revertBatch"))


async def _cancel(context: Context, given: CancelInput) -> Job:
    return await jobs.cancel_job(context.db, context.scope, input_id(given.id, "SystemJob", "id"))


@strawberry.type(description="Mutations of system jobs.")
class SystemJobMutation:
    create_system_job: SystemJobPayload = mutation(
        _create,
        Permission.JOBS_WRITE,
        "Starts a job that deletes or takes back what came in, and answers at once. CONFLICT where such a job is open already, or another one is at work on the same batch or dataset. Needs the scope `jobs:write`.",
        configures=True,
    )
    cancel_system_job: SystemJobPayload = mutation(
        _cancel,
        Permission.JOBS_WRITE,
        "Cancels a job: what it has done stays, nothing more is done. A batch or dataset that it was deleting is given back with what is left; a REVERT_BATCH can be cancelled until it begins. CONFLICT for a job that has ended, and for one on whose end others depend, such as those of ABORT_BATCH, MATERIALIZE_POLICY and REGROUP_IDENTITIES. Needs the scope `jobs:write`.",
        configures=True,
    )


async def _started(answer: strawberry.Parent[MutationResult], info: Info) -> Job | None:
    return None if answer.job_id is None else await info.context.loaders.job_by_id.load(answer.job_id)


def started_job(description: str) -> Any:
    """Return the payload's field that shows the job which the mutation has started."""
    return resolved_by(_started, description)
