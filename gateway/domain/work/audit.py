"""The audit log: who changed what, with its state before and after. Each verb adds its entry in the transaction of the change.

An entry outlives what it is about, and is never changed: no verb deletes one. It holds no secret, and names people by their xids alone.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.rules.keyset import Order, Page, Window, page_of_rows
from gateway.domain.rules.names import camel_case
from gateway.domain.rules.scope import EVERY_SANDBOX, Permission, Scope
from gateway.storage.database import Database, Session
from gateway.storage.queries import fill, part, query, template
from gateway.telemetry import correlation_id

RECORD = query("audit.record")
RECORD_ONCE = query("audit.record_once")
_ENTRY, _COVERED = part("audit.entry"), part("audit.covered")
READ = template("audit.read_entries").filled(entry=_ENTRY, covered=_COVERED)
LIST = template("audit.list_entries")
COUNT = template("audit.count_entries")

NEWEST_FIRST: Final = Order(("at", "entry_id"), (datetime, int), descending=True)
"""The order of entries in their list."""

OF_ORGANIZATION: Final = frozenset({"ApiKey", "Organization", "SigningKey", "Token"})
"""Types of subjects that belong to the organization, unless the caller works in some of its sandboxes only."""


class Subject(NamedTuple):
    """What an entry is about: the name of its type in the API, and the parts of the key that its global id is made of.

    A type without global ids has no key: what it is stands in the entry's `before` and `after`.
    """

    type: str
    key: tuple[UUID | int | str, ...] = ()

    @property
    def columns(self) -> tuple[str, list[str]]:
        """The type and the parts of the key as the table has them."""
        return self.type, [str(part) for part in self.key]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An entry of the log. The parts of the subject's key are texts; `before` and `after` are JSON values."""

    entry_id: int
    at: datetime
    actor: str
    api_key_id: UUID | None
    action: str
    subject: Subject
    before: Any
    after: Any
    correlation_id: str | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Conditions on entries, which all hold; None for no condition. `since` is inclusive, `until` exclusive."""

    actor: str | None = None
    action: str | None = None
    subject: Subject | None = None
    since: datetime | None = None
    until: datetime | None = None


# ------------------------------------------------------------------------------------------------ writing


async def record(
    tx: Session, scope: Scope, action: str, subject: Subject, *, before: Any = None, after: Any = None
) -> None:
    """Add an entry to the log, in the transaction of the change.

    `action` is the name of the mutation, as in `updateDataset`, also where a command makes the change. `before` and `after` are the
    subject's state as a dataclass or a mapping, None where it did not exist or is gone. Of a dataclass, fields with `repr=False` are
    left out: they are secrets.
    """
    await tx.execute(RECORD, *_columns(scope, action, subject, before, after))


async def record_once(
    tx: Session, scope: Scope, action: str, subject: Subject, *, after: Any, within: timedelta
) -> None:
    """Add an entry to the log, unless the same caller did the same to the subject within this time: for what is done as often as people come."""
    await tx.execute(RECORD_ONCE, *_columns(scope, action, subject, None, after), within.total_seconds())


def _columns(scope: Scope, action: str, subject: Subject, before: Any, after: Any) -> tuple[Any, ...]:
    request = correlation_id.get()
    of = scope.organization.organization_id, _sandbox_of(scope, subject), scope.actor, scope.api_key_id, action
    return *of, *subject.columns, _told(before), _told(after), None if request == "-" else request


async def record_backup(db: Database, scope: Scope) -> None:
    """Add an entry for a backup of everything, which the backup holds, too. Needs `admin`. Raises Forbidden."""
    scope.require(Permission.ADMIN)
    async with db.transaction() as tx:
        await record(tx, scope, "backup", Subject("Organization"), after=scope.organization)


def _sandbox_of(scope: Scope, subject: Subject) -> UUID | int | str | None:
    """Return the id of the sandbox that an entry belongs to, None for one of the organization."""
    if subject.type in OF_ORGANIZATION and EVERY_SANDBOX in scope.sandboxes:
        return None
    return subject.key[0] if subject.type == "Sandbox" else scope.sandbox_id


def _told(state: Any) -> str | None:
    """Return a state as JSON whose keys are named as in the API, None for None."""
    if state is None:
        return None
    return orjson.dumps(state, default=_plain, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {camel_case(field.name): getattr(value, field.name) for field in fields(value) if field.repr}
    if isinstance(value, AbstractSet):
        return sorted(value)
    if isinstance(value, UUID):  # of the driver's own class
        return str(value)
    raise TypeError(f"{type(value).__name__} is no state of a subject")


# ------------------------------------------------------------------------------------------------ reading


async def read_entries(db: Database, scope: Scope, entry_ids: Sequence[int]) -> list[AuditEntry | None]:
    """Read entries by id, in order; None for one of another organization, or of no sandbox that the caller's token covers.

    Needs `admin`. Raises Forbidden.
    """
    scope.require(Permission.ADMIN)
    rows = await db.rows(READ, scope.organization.organization_id, _covered(scope), entry_ids)
    found = {row["entry_id"]: _entry(row) for row in rows}
    return [found.get(entry_id) for entry_id in entry_ids]


async def list_entries(db: Database, scope: Scope, passing: AuditFilter, window: Window) -> Page[AuditEntry]:
    """List a page of the entries that pass the filter, newest first, in the sandboxes that the caller's token covers.

    Needs `admin`; entries of the organization need a token for all sandboxes. Raises Forbidden, BadCursor.
    """
    scope.require(Permission.ADMIN)
    least, greatest = (None if time is None else (time, 0) for time in (passing.since, passing.until))
    stretch = NEWEST_FIRST.stretch(window, least, greatest)
    statement, keys = LIST.page(**stretch, entry=_ENTRY, passing=_passing(passing))
    rows = await db.rows(statement, *_conditions(scope, passing), window.fetch, *keys)
    return page_of_rows([_entry(row) for row in rows], window)


async def count_entries(db: Database, scope: Scope, passing: AuditFilter) -> int:
    """Count the entries that `list_entries` lists. Needs `admin`. Raises Forbidden."""
    scope.require(Permission.ADMIN)
    statement = COUNT.filled(passing=_passing(passing))
    count: int = await db.value(statement, *_conditions(scope, passing), passing.since, passing.until)
    return count


def _passing(passing: AuditFilter) -> str:
    """Return the SQL of the conditions of a filter."""
    subject = part("audit.of_subject" if passing.subject else "audit.of_any")
    return fill(part("audit.passing"), covered=_COVERED, subject=subject)


def _conditions(scope: Scope, passing: AuditFilter) -> tuple[Any, ...]:
    """Return their values."""
    subject = passing.subject.columns if passing.subject else (None, None)
    return scope.organization.organization_id, _covered(scope), passing.actor, passing.action, *subject


def _covered(scope: Scope) -> list[str] | None:
    """Return the names of the sandboxes that the caller's token covers, None for all."""
    return None if EVERY_SANDBOX in scope.sandboxes else [scope.sandbox.name, *scope.sandboxes]


def _entry(row: Any) -> AuditEntry:
    told = {name: row[name] and orjson.loads(row[name]) for name in ("before", "after")}
    plain = ("entry_id", "at", "actor", "api_key_id", "action", "correlation_id")
    subject = Subject(row["subject_type"], tuple(row["subject_key"]))
    return AuditEntry(**{name: row[name] for name in plain}, subject=subject, **told)
