"""The audit log: who changed what."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import strawberry

from gateway.api.api_keys import ApiKeyType
from gateway.api.context import Context, Info, plain, resolved_by
from gateway.api.ids import KINDS, global_id, read_id
from gateway.api.mutations import query_errors
from gateway.api.nodes import Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, Listing, Slice
from gateway.api.scalars import JSON
from gateway.domain.config.api_keys import ApiKey
from gateway.domain.rules.names import check_name
from gateway.domain.work import audit
from gateway.domain.work.audit import AuditEntry, AuditFilter, Subject
from gateway.errors import BadInput

ENTRIES: Listing[AuditEntry] = Listing("auditLog", lambda entry: (entry.at, entry.entry_id))

PARTS: Final[dict[type, Callable[[str], Any]]] = {UUID: UUID, int: int, str: str}


# ------------------------------------------------------------------------------------------------ types


async def _api_key(entry: strawberry.Parent[AuditEntry], info: Info) -> ApiKey | None:
    return await info.context.loaders.api_key_by_id.load(entry.api_key_id) if entry.api_key_id else None


def _subject_id(entry: strawberry.Parent[AuditEntry]) -> str | None:
    kind, key = entry.subject
    if not key or kind not in KINDS:
        return None
    return global_id(kind, *(PARTS[part](str(text)) for part, text in zip(KINDS[kind][1], key, strict=True)))


@strawberry.type(
    name="AuditEntry",
    description="One change of the configuration or one intervention of a person: who made it, when and what became of it. Entries are never changed, and never removed.",
)
class AuditEntryType(Node):
    domain = AuditEntry

    id: strawberry.ID = id_field("Global id of the entry.", "AuditEntry", "entry_id")
    at: datetime = plain("When it was done.")
    actor: str = plain("Who did it: the token's subject, or the user who ran a command.")
    api_key: ApiKeyType | None = resolved_by(
        _api_key,
        "The API key of the request; null where a command did it, and for a key that opens no sandbox of the caller's.",
    )
    action: str = plain("What was done: the name of the mutation, also where a command did the same.")
    subject_id: strawberry.ID | None = resolved_by(
        _subject_id, "Global id of what was changed, also of what is gone; null for what has none, such as a token."
    )
    before: JSON | None = plain(
        "What it was before, without secrets; null where it did not exist. People are told by their xids alone."
    )
    after: JSON | None = plain("What it was from then on; null where it is gone.")
    correlation_id: str | None = plain(
        "The id of the request, which the server's log and the header `x-request-id` have, too; null for a command."
    )


# ------------------------------------------------------------------------------------------------ queries


@strawberry.input(name="AuditFilter", description="Which entries to list; all given conditions hold.")
class AuditFilterInput:
    actor: str | None = plain("Only what this actor did.", default=None)
    action: str | None = plain("Only this action, as in `updateDataset`.", default=None)
    subject_id: strawberry.ID | None = plain("Only what was done to the object with this id.", default=None)
    since: datetime | None = plain("Only what was done then or later.", default=None)
    until: datetime | None = plain("Only what was done earlier.", default=None)


Filter = Annotated[
    AuditFilterInput | None,
    strawberry.argument(name="filter", description="Which entries to list; left out for all."),
]


async def _audit_log(
    info: Info,
    *,
    wanted: Filter = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[AuditEntry]:
    context, passing = info.context, _filter(wanted or AuditFilterInput())
    page = await audit.list_entries(context.db, context.scope, passing, ENTRIES.window(first, after, last, before))
    return ENTRIES.paged(page, lambda: audit.count_entries(context.db, context.scope, passing))


def _filter(given: AuditFilterInput) -> AuditFilter:
    """Return the filter that an input describes. Raises BadInput for a text that nobody or nothing can be called by."""
    with query_errors("filter"):
        for path, text in (("actor", given.actor), ("action", given.action)):
            if text is not None:
                check_name(text, path)
    subject = None
    if given.subject_id is not None:
        known = read_id(given.subject_id)
        if known is None:
            raise BadInput("filter.subjectId: This is not an id that this server gave out.")
        subject = Subject(*known)
    return AuditFilter(given.actor, given.action, subject, given.since, given.until)


async def read_entries(context: Context, keys: Sequence[int]) -> list[AuditEntry | None]:
    """Read the entries with these ids, None for those that the caller does not see. Raises Forbidden."""
    return await audit.read_entries(context.db, context.scope, keys)


@strawberry.type(description="Queries of the audit log.")
class AuditQuery:
    audit_log: Connection[AuditEntryType] = resolved_by(
        _audit_log,
        "Who changed what, newest first: in the sandboxes of the token, and in the organization itself for a token of all sandboxes. Needs the scope `admin`.",
    )
