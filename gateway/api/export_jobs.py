"""Export jobs: profiles and events written to files, as of one instant."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from gateway.api.changes import listing as changes_listing
from gateway.api.context import Context, Info, attribute, itself, plain, resolved_by
from gateway.api.identities import IdentityInput, IdentityRef, IdentityRefType, mutated_xid
from gateway.api.ids import global_id, input_id
from gateway.api.jobs import CancelInput, JobOrderInput, OrderBy
from gateway.api.mutations import DeleteInput, DeletePayload, UserError, changed, mutation, user_errors
from gateway.api.nodes import Node, id_field, look_up
from gateway.api.pagination import After, Before, Connection, First, Last, Listing, OrderDirection, Slice
from gateway.api.policies import MergePolicyType
from gateway.api.scalars import JSON, Long, described
from gateway.domain.config.policies import MergePolicy
from gateway.domain.operations import export_jobs
from gateway.domain.operations.export_jobs import ExportEvents, ExportFile, ExportFormat, ExportJob, ExportRequest
from gateway.domain.operations.export_spool import estimated
from gateway.domain.rules.changes import position_of
from gateway.domain.rules.keyset import Key
from gateway.domain.rules.scope import Permission
from gateway.domain.work import jobs
from gateway.domain.work.job_lists import JobOrder
from gateway.domain.work.jobs import JobStatus
from gateway.errors import Invalid, NotFound

described(
    ExportFormat,
    "ExportFormat",
    "How the files of an export are written.",
    PARQUET="Parquet: nested columns, typed by the union of the sandbox's schemas.",
    JSONL="A JSON object on each line, packed by gzip.",
)

ExportJobId = Annotated[strawberry.ID, strawberry.argument(name="id", description="The `id` of an export job.")]


# ------------------------------------------------------------------------------------------------ types


@strawberry.type(name="ExportFilter", description="Which people an export has.")
class ExportFilterType:
    where: str | None = plain("A condition in PQL that they satisfy.")
    from_ingested_at: datetime | None = plain("Only people who were last modified then or later.")
    to_ingested_at: datetime | None = plain("Only people who were last modified before.")
    empty_profiles: bool = plain("Whether people without records are among them.")


@strawberry.type(name="ExportEvents", description="Which events of its people an export has, in files of their own.")
class ExportEventsType:
    fields: str | None = plain("Which fields of each, as a selector; null for all.")
    from_ingested_at: datetime | None = plain("Only events that came in then or later.")
    to_ingested_at: datetime | None = plain("Only events that came in before.")
    where: str | None = plain("A condition in PQL that they satisfy.")


def _url(file: strawberry.Parent[ExportFile]) -> str:
    return f"/exports/{global_id('ExportJob', file.job_id)}/{file.path}"


@strawberry.type(name="ExportFile", description="A file of an export that is whole.")
class ExportFileType:
    path: str = plain("Its name in the location of the export.")
    url: str = resolved_by(
        _url, "Where the gateway gives it to whoever sends the headers of any request; `Range` is answered, too."
    )
    rows: Long = plain("How many people or events it has, or rows about one person; 0 for the manifest.")
    bytes: Long = plain("How many bytes it has.")
    sha256: str = plain("The SHA-256 of its bytes, in hexadecimal digits.")


def _profiles(export: strawberry.Parent[ExportJob]) -> int:
    return export.state.profiles_exported if export.state else 0


def _events(export: strawberry.Parent[ExportJob]) -> int:
    return export.state.events_exported if export.state else 0


def _by_namespace(export: strawberry.Parent[ExportJob]) -> dict[str, int]:
    return dict(export.state.by_namespace) if export.state else {}


@strawberry.type(description="What an export has written so far.")
class ExportMetrics:
    profiles_exported: Long = resolved_by(_profiles, "People in its files.")
    events_exported: Long = resolved_by(_events, "Events in its files.")
    by_namespace: JSON = resolved_by(
        _by_namespace, "By the code of each namespace, how many people have an identity in it; counted at the instant."
    )
    time_taken_in_sec: float = attribute(
        "job.seconds", "Seconds from its first attempt to its last piece, or to its end."
    )


def _policy(export: strawberry.Parent[ExportJob], info: Info) -> MergePolicy | None:
    return info.context.config.policies.find(export.request.policy_id)


def _filter(export: strawberry.Parent[ExportJob]) -> ExportRequest | None:
    asked = export.request
    has_any = asked.where or asked.from_ingested_at or asked.to_ingested_at or asked.empty_profiles
    return asked if has_any else None


async def _subject(export: strawberry.Parent[ExportJob], info: Info) -> IdentityRef | None:
    xid = export.request.subject
    if xid is None:
        return None
    found = await info.context.loaders.identity_by_xid.load(xid)
    if found is None or found.is_erased:
        return IdentityRef(xid)
    return IdentityRef(xid, info.context.config.namespaces[found.namespace_id].code, found.value)


def _location(export: strawberry.Parent[ExportJob], info: Info) -> str:
    return info.context.locations.folder_of(info.context.scope, export.job_id, export.request.location)


def _snapshot_at(export: strawberry.Parent[ExportJob]) -> datetime | None:
    return None if export.state is None else export.state.snapshot_at


def _changes_cursor(export: strawberry.Parent[ExportJob], info: Info) -> str | None:
    if export.state is None:
        return None
    return changes_listing(info.context.scope.sandbox_id).cursor(position_of(tuple(export.state.position)))


def _expires_at(export: strawberry.Parent[ExportJob]) -> datetime | None:
    return None if export.state is None else export.state.expires_at


@strawberry.type(
    name="ExportJob",
    description="Profiles, and events if they are wanted, or everything that is stored about one person, written to files as they were at one instant. It is finished however often it is interrupted.",
)
class ExportJobNode(Node):
    domain = ExportJob

    id: strawberry.ID = id_field("Global id of the export.", "ExportJob", "job_id")
    status: JobStatus = attribute("job.status", "Where it stands.")
    fields: str | None = attribute("request.fields", "Which fields of profiles it has, as a selector; null for all.")
    merge_policy: MergePolicyType = resolved_by(
        _policy, "The merge policy that makes its profiles; none is deleted that an export names."
    )
    merge_policy_version: int = attribute(
        "request.policy_version",
        "The `version` of the policy that was asked for. If the policy has another one before the instant is taken, the export fails.",
    )
    filter: ExportFilterType | None = resolved_by(_filter, "Which people it has; null for all who have records.")
    events: ExportEventsType | None = attribute("request.events", "Which of their events it has; null for none.")
    subject: IdentityRefType | None = resolved_by(
        _subject,
        "The identity whose person it is about: it has everything that is stored about them. Null for an export of profiles.",
    )
    format: ExportFormat = attribute("request.format", "How its files are written.")
    location: str = resolved_by(_location, "Where its files are: below the directory of exports, or a URL.")
    files: list[ExportFileType] = plain(
        "Its files that are whole by now, by name: people, events, or rows about one person; the manifest. None once their time is over."
    )
    metrics: ExportMetrics = resolved_by(itself, "What it has written so far.")
    estimated_bytes: Long | None = attribute(
        "request.estimated_bytes",
        "About how many bytes of people it reads before it writes them, estimated when it was asked for, as if everybody satisfied `where`. Null for a subject.",
    )
    progress: float | None = attribute("job.progress", "How much of it is done, from 0 to 1; null until it began.")
    error: str | None = attribute(
        "job.error", "Why its last attempt was put off, or why it failed; null once it gets on."
    )
    created_at: datetime = attribute("job.created_at", "When it was asked for.")
    created_by: str | None = attribute(
        "job.created_by", "Who asked for it: the subject of a token, or the user of a command."
    )
    updated_at: datetime = attribute("job.updated_at", "When it last began, got on or ended.")
    snapshot_at: datetime | None = resolved_by(
        _snapshot_at,
        "The instant: all that came in by then is in it, and nothing that came later. Null until it is taken.",
    )
    changes_cursor: str | None = resolved_by(
        _changes_cursor, "Where `profileChanges` goes on from the instant; null until it is taken."
    )
    expires_at: datetime | None = resolved_by(_expires_at, "When its files leave; null until it is complete.")


# ------------------------------------------------------------------------------------------------ queries


@strawberry.input(description="Which exports are wanted.")
class ExportJobFilter:
    status: list[JobStatus] | None = plain("Only exports of one of these statuses.", default=None)


Filter = Annotated[
    ExportJobFilter | None, strawberry.argument(name="filter", description="Which exports are wanted; all without it.")
]


async def _export_jobs(
    info: Info,
    *,
    wanted: Filter = None,
    order_by: OrderBy = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[ExportJob]:
    db, scope, statuses = info.context.db, info.context.scope, wanted.status if wanted else None
    given = order_by or JobOrderInput()
    order = JobOrder(given.field, descending=given.direction is OrderDirection.DESC)

    def key(export: ExportJob) -> Key:
        return order.key(export.job)

    listed = Listing(f"exportJobs by {order.field}, {given.direction}", key)
    page = await export_jobs.list_export_jobs(db, scope, statuses, order, listed.window(first, after, last, before))
    return listed.paged(page, lambda: export_jobs.count_export_jobs(db, scope, statuses))


async def _export_job(info: Info, job_id: ExportJobId) -> ExportJob | None:
    return await look_up(info.context, read_export_jobs, job_id, "ExportJob")


async def read_export_jobs(context: Context, keys: Sequence[UUID]) -> list[ExportJob | None]:
    """Read the exports with these ids, None for those that the sandbox lacks. Raises Forbidden."""
    context.scope.require(*jobs.READ_JOBS)
    return await context.loaders.export_job_by_id.load_many(keys)


@strawberry.type(description="Queries of exports.")
class ExportJobQuery:
    export_jobs: Connection[ExportJobNode] = resolved_by(
        _export_jobs,
        "The exports of the sandbox. Those that ended are kept for some weeks, and as long as their files are.",
    )
    export_job: ExportJobNode | None = resolved_by(
        _export_job, "The export with this id; null where the sandbox has none."
    )


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="Which events of the people go into files of their own, an event in each row.")
class ExportEventsInput:
    fields: str | None = plain(
        "Which fields of each, as a selector; all without it. `_id` and `timestamp` are always there.", default=None
    )
    from_ingested_at: datetime | None = plain("Only events that came in then or later.", default=None)
    to_ingested_at: datetime | None = plain("Only events that came in before.", default=None)
    where: str | None = plain("Only events for which this condition in PQL is true.", default=None)


@strawberry.input(description="What is to be exported, and where to.")
class ExportJobInput:
    fields: str | None = plain(
        "Which fields of profiles, as a selector: `person.name,workEmail`; all without it. Computed attributes are exported where it names them.",
        default=None,
    )
    where: str | None = plain(
        "Only people for whom this condition in PQL is true; needs a policy that keeps its profiles.", default=None
    )
    merge_policy_id: strawberry.ID | None = plain(
        "The merge policy to see people by, in its version of now; the sandbox's default policy without it.",
        default=None,
    )
    from_ingested_at: datetime | None = plain("Only people who were last modified then or later.", default=None)
    to_ingested_at: datetime | None = plain("Only people who were last modified before.", default=None)
    empty_profiles: bool = plain(
        "Whether people without records, who have events alone, are exported, too.", default=False
    )
    events: ExportEventsInput | None = plain(
        "Which events of these people are exported; none without it.", default=None
    )
    subject: IdentityInput | None = plain(
        "An identity of the one person about whom everything that is stored is exported, as for a subject access request: what each store holds, and the merged profile. Nothing else can be chosen then but the merge policy and the location. NOT_FOUND where nothing is stored about it, or it was erased.",
        default=None,
    )
    format: ExportFormat | None = plain(
        "How files are written. Without it PARQUET, or JSONL for a subject, which cannot be PARQUET: what stores hold has no columns in common.",
        default=None,
    )
    location: str | None = plain(
        "Where files are written: a path below the sandbox's part of the directory of exports, or a URL below one that `GATEWAY_EXPORT_LOCATIONS` allows. Each export has a folder of its own there, named by its id.",
        default=None,
    )


@strawberry.type(description="The export that was made or changed, or what was wrong.")
class ExportJobPayload:
    export_job: ExportJobNode | None = changed("The export as it is now; null where nothing was done.")
    user_errors: list[UserError] = user_errors()


async def _create(context: Context, given: ExportJobInput) -> ExportJob:
    policy = context.config.default_policy
    if given.merge_policy_id is not None:
        found = context.config.policies.find(input_id(given.merge_policy_id, "MergePolicy", "mergePolicyId"))
        if found is None:
            raise NotFound("There is no merge policy with this id.", path=["mergePolicyId"])
        policy = found
    events = None if given.events is None else ExportEvents(**vars(given.events))
    subject = None if given.subject is None else mutated_xid(context, given.subject, "subject")
    request = ExportRequest(
        policy.policy_id,
        policy.version,
        export_jobs.format_of(given.format, subject),
        given.location,
        given.fields,
        given.where,
        given.from_ingested_at,
        given.to_ingested_at,
        given.empty_profiles,
        events,
        subject,
    )
    place = context.db, context.scope, context.config
    request = await estimated(*place, request, most=context.most_spooled)
    return await export_jobs.create_export_job(*place, request, context.locations)


async def _cancel(context: Context, given: CancelInput) -> ExportJob:
    return await export_jobs.cancel_export_job(context.db, context.scope, input_id(given.id, "ExportJob", "id"))


async def _delete(context: Context, given: DeleteInput) -> str:
    if given.current_version is not None:
        raise Invalid("An export has no version.", path=["currentVersion"])
    job_id = input_id(given.id, "ExportJob", "id")
    await export_jobs.delete_export_job(context.db, context.scope, job_id, context.locations)
    return global_id("ExportJob", job_id)


@strawberry.type(description="Mutations of exports.")
class ExportJobMutation:
    create_export_job: ExportJobPayload = mutation(
        _create,
        Permission.JOBS_WRITE,
        "Starts an export, and answers at once. LIMIT_EXCEEDED where twenty have not ended, or about more would be read than `GATEWAY_EXPORT_SPOOL_GB` allows. Needs the scopes `jobs:write` and `profile:read`.",
    )
    cancel_export_job: ExportJobPayload = mutation(
        _cancel,
        Permission.JOBS_WRITE,
        "Cancels an export that has not ended; what it has written goes. CONFLICT for one that has. Needs the scope `jobs:write`.",
    )
    delete_export_job: DeletePayload = mutation(
        _delete,
        Permission.JOBS_WRITE,
        "Deletes an export and its files. CONFLICT for one that has not ended. Needs the scope `jobs:write`.",
    )
