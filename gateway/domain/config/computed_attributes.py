"""Computed attributes: values of a person that are computed from their events, or from the profile and other attributes; and values of an
event that are computed from it alone.

Rules: a DRAFT may change in everything and has no values; a published attribute changes in how it is shown alone, and is switched off by
DISABLED, from where it can be published again. It reads published attributes only, so none reads itself; while others read it, or
a projection selects it, it is neither disabled nor deleted.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID, uuid4

from gateway.domain.config.attribute_programs import ATTRIBUTES_FIELD, Definition, Programs, Unions, has_own_field
from gateway.domain.config.broken_rows import Broken, parse_rows, refuse_change
from gateway.domain.config.projection_contents import check_unselected, renew_around
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.rules.durations import Duration, check_lookback, parse_duration
from gateway.domain.rules.edited import Edited, check_version, edited_columns
from gateway.domain.rules.limits import ATTRIBUTES, check_room
from gateway.domain.rules.names import check_description, check_name
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import audit, jobs
from gateway.domain.work.audit import Subject
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import JobStatus
from gateway.errors import BadInput, Conflict, Invalid, NotFound, Taken, TooMany
from gateway.pql.types import EVENTS, field_of, name_of
from gateway.runtime.late import late
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.xdm.classes import XdmClass
from gateway.xdm.fields import Field

if TYPE_CHECKING:
    from gateway.domain.config import attribute_expressions
else:
    attribute_expressions = late("gateway.domain.config.attribute_expressions")

LIST = query("computed_attributes.list_attributes")
CREATE = query("computed_attributes.create_attribute")
UPDATE = query("computed_attributes.update_attribute")
DELETE = query("computed_attributes.delete_attribute")

MAX_NAME_CHARACTERS: Final = 100
_NAME: Final = re.compile("[A-Za-z][A-Za-z0-9]*")


class AttributeStatus(StrEnum):
    """The state of an attribute, by the names of the model. DRAFT: not published. DISABLED: not any more. All others have values.

    NEW: published. INITIALIZING: a job waits until every writer knows of it. PROCESSING: the job reads the events of the past. PROCESSED:
    its values are folded of partials, where it has some. FAILED: they will not be, and are computed from events as before.
    """

    DRAFT = "DRAFT"
    NEW = "NEW"
    INITIALIZING = "INITIALIZING"
    PROCESSING = "PROCESSING"
    PROCESSED = "PROCESSED"
    FAILED = "FAILED"
    DISABLED = "DISABLED"


PUBLISHED: Final = frozenset(AttributeStatus) - {AttributeStatus.DRAFT, AttributeStatus.DISABLED}
"""The states of attributes that have values."""


@dataclass(frozen=True, slots=True)
class AttributeSettings:
    """The part of a computed attribute that callers choose. `lookback`: how old the events may be that it is of; None for all of them.

    `keep_current` is kept as it was given, and means nothing: values always are current.
    """

    name: str
    display_name: str
    expression: str
    description: str | None = None
    lookback: Duration | None = None
    keep_current: bool = True
    xdm_class: XdmClass = XdmClass.INDIVIDUAL_PROFILE


@dataclass(frozen=True, slots=True)
class Derived:
    """What follows from the expression: the function of a person's events, None for any other; the type's name; the dotted paths that it reads."""

    merge_function: str | None
    return_type: str
    dependencies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComputedAttribute(Edited):
    """A computed attribute. `slot`: where its partials stand, None if it has none. `job_id`: what read the events of the past for them last, or is at it.
    `fault`: why a published one has no values although it is not DISABLED, since what it reads is no longer there; None as a rule.
    """

    attribute_id: UUID
    tenant_code: str
    settings: AttributeSettings
    derived: Derived
    status: AttributeStatus
    slot: int | None = None
    job_id: UUID | None = None
    backfilled_at: datetime | None = None
    fault: str | None = None

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def path(self) -> str:
        """Where it stands in profiles, or in events, dotted."""
        return f"_{self.tenant_code}.{ATTRIBUTES_FIELD}.{self.settings.name}"

    @property
    def is_of_people(self) -> bool:
        """Whether people have values, and not events."""
        return self.settings.xdm_class is XdmClass.INDIVIDUAL_PROFILE

    @property
    def is_published(self) -> bool:
        """Whether it has values."""
        return self.status in PUBLISHED and self.fault is None

    @property
    def place(self) -> str:
        """Where it stands as seen from a person, dotted."""
        return self.path if self.is_of_people else f"{EVENTS}.{self.path}"

    def reads(self, other: "ComputedAttribute") -> bool:
        """Return whether it reads another attribute."""
        return self.is_of_people and any(f"{path}.".startswith(f"{other.place}.") for path in self.derived.dependencies)

    @property
    def definition(self) -> Definition:
        """What it is computed by."""
        of = self.settings
        return Definition(of.name, of.expression, of.xdm_class, of.lookback)


async def load_attributes(tx: Session, scope: Scope, broken: Broken[UUID] | None = None) -> list[ComputedAttribute]:
    """Load all attributes of the sandbox, by name. Needs no permission. Rows that cannot be parsed go into `broken`."""
    rows = await tx.rows(LIST, scope.sandbox_id)
    return parse_rows(
        rows, lambda row: _attribute(scope, row), broken, table="computed_attribute", key="attribute_id", name="name"
    )


def programs_of(unions: Unions, attributes: Iterable[ComputedAttribute]) -> Programs:
    """Return what the published ones of these attributes are computed by. Slow."""
    return attribute_expressions.make_programs(unions, [each.definition for each in attributes if each.is_published])


def fields_of(xdm_class: XdmClass, attributes: Iterable[ComputedAttribute], programs: Programs) -> dict[str, Field]:
    """Return the fields that published attributes of a class are in its union, by name."""
    listed = [each for each in attributes if each.is_published and each.settings.xdm_class is xdm_class]
    types = programs.types
    return {
        each.name: {
            **field_of(types[each.name]),
            "title": each.settings.display_name,
            "description": each.settings.description or each.settings.display_name,
        }
        for each in sorted(listed, key=lambda each: each.name)
    }


async def create_attribute(
    db: Database, scope: Scope, unions: Unions, settings: AttributeSettings, *, most: int, publish: bool = False
) -> ComputedAttribute:
    """Create an attribute, a DRAFT unless it is to be published at once. `most`: how many may be published. Needs `config:write`.

    Raises Forbidden, Taken, TooMany, Conflict, and Invalid, with line and column for the expression.
    """
    scope.require(Permission.CONFIG_WRITE)
    attribute_id = uuid4()
    async with db.transaction(scope.sandbox_id) as tx:
        others = await _locked(tx, scope, {})
        check_room(len(others), ATTRIBUTES, "computed attributes; delete one first", "A sandbox")
        checked = await _check(settings, unions, others)
        stands = Standing(AttributeStatus.DRAFT)
        if publish:
            _check_active(others, most)
            stands = await _publish(tx, scope, attribute_id, checked, others)
        columns = _columns(settings, checked.derived, stands)
        await tx.execute(CREATE, scope.sandbox_id, attribute_id, *columns, scope.actor)
        made = _find(await load_attributes(tx, scope), attribute_id)
        if publish:
            await renew_around(tx, scope, made.place)
        await audit.record(tx, scope, "createComputedAttribute", _subject(made), after=_told(made))
        return made


async def update_attribute(
    db: Database,
    scope: Scope,
    unions: Unions,
    attribute_id: UUID,
    changes: Mapping[str, Any],
    *,
    most: int,
    status: AttributeStatus | None = None,
    current_version: int | None = None,
) -> ComputedAttribute:
    """Change settings of an attribute, by their names in AttributeSettings, and its status, and return it. Needs `config:write`.

    `status` NEW publishes, DISABLED switches off; `most`: how many may be published. Raises Forbidden, NotFound, Taken, TooMany, Stale unless
    `current_version` is None or the attribute's version, Invalid, with line and column for the expression, and Conflict for what the
    attribute's status does not allow, or others that read it.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        broken: Broken[UUID] = {}
        attributes = await _locked(tx, scope, broken)
        refuse_change(broken, attribute_id)
        attribute = _find(attributes, attribute_id)
        check_version(attribute.version, current_version)
        others = [other for other in attributes if other is not attribute]
        settings = replace(attribute.settings, **changes)
        after = _next_status(attribute, status, others)
        if settings == attribute.settings and after is attribute.status:
            return attribute
        _check_change(attribute, settings)
        derived, stands = attribute.derived, Standing(after, attribute.slot, attribute.job_id)
        is_published = after is AttributeStatus.NEW is not attribute.status
        if attribute.status is AttributeStatus.DRAFT or is_published:
            checked = await _check(settings, unions, others)
            derived = checked.derived
            if is_published:
                _check_active(others, most)
                stands = await _publish(tx, scope, attribute_id, checked, others)
        else:
            _check_texts(settings)
        if after is AttributeStatus.DISABLED:
            await check_unselected(tx, scope, attribute.place, "status")
            await jobs.end(tx, scope, JobKind.BACKFILL_COMPUTED_ATTRIBUTE, attribute_id, JobStatus.CANCELLED)
            stands = Standing(after, None, attribute.job_id)
        await tx.execute(UPDATE, scope.sandbox_id, attribute_id, *_columns(settings, derived, stands))
        changed = _find(await load_attributes(tx, scope), attribute_id)
        if after is not attribute.status:
            await renew_around(tx, scope, changed.place)
        before, now = _told(attribute), _told(changed)
        await audit.record(tx, scope, "updateComputedAttribute", _subject(changed), before=before, after=now)
        return changed


async def delete_attribute(db: Database, scope: Scope, attribute_id: UUID, current_version: int | None = None) -> None:
    """Delete an attribute that is a DRAFT, DISABLED, or FAILED. Needs `config:write`.

    Raises Forbidden, NotFound, Stale unless `current_version` is None or the attribute's version, and Conflict for a published one, and for
    one that others read.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        broken: Broken[UUID] = {}
        attributes = await _locked(tx, scope, broken)
        refuse_change(broken, attribute_id)
        attribute = _find(attributes, attribute_id)
        check_version(attribute.version, current_version)
        if attribute.status is AttributeStatus.FAILED:
            _check_unread(attribute, attributes, "id")
            await check_unselected(tx, scope, attribute.place, "id")
            await renew_around(tx, scope, attribute.place)
        elif attribute.is_published:
            raise Conflict("It is published: set its status to DISABLED first.", path=["id"])
        await tx.execute(DELETE, scope.sandbox_id, attribute_id)
        await audit.record(tx, scope, "deleteComputedAttribute", _subject(attribute), before=_told(attribute))


async def _locked(tx: Session, scope: Scope, broken: Broken[UUID]) -> list[ComputedAttribute]:
    """Load the attributes under the lock of the configuration."""
    await lock_configuration(tx, scope)
    return await load_attributes(tx, scope, broken)


def _subject(attribute: ComputedAttribute) -> Subject:
    return Subject("ComputedAttribute", (attribute.attribute_id,))


def _find(attributes: Sequence[ComputedAttribute], attribute_id: UUID) -> ComputedAttribute:
    found = next((each for each in attributes if each.attribute_id == attribute_id), None)
    if found is None:
        raise NotFound("There is no computed attribute with this id.", path=["id"])
    return found


# ------------------------------------------------------------------------------------------------ rules


def dependents(attribute: ComputedAttribute, others: Iterable[ComputedAttribute]) -> list[ComputedAttribute]:
    """Return the attributes that read one, drafts included, but not those that are DISABLED."""
    return [each for each in others if each.status is not AttributeStatus.DISABLED and each.reads(attribute)]


def _next_status(
    attribute: ComputedAttribute, wanted: AttributeStatus | None, others: Iterable[ComputedAttribute]
) -> AttributeStatus:
    """Return the status that an attribute has after a caller wanted one. Raises Conflict, Invalid."""
    if wanted is None or wanted is attribute.status is not AttributeStatus.NEW:
        return attribute.status
    match attribute.status, wanted:
        case ((AttributeStatus.DRAFT | AttributeStatus.DISABLED | AttributeStatus.FAILED), AttributeStatus.NEW):
            return wanted
        case _, AttributeStatus.NEW:
            raise Conflict("It is published already.", path=["status"])
        case _, AttributeStatus.DISABLED if attribute.is_published:
            _check_unread(attribute, others, "status")
            return wanted
    raise Invalid(
        f"An attribute that is {attribute.status} does not become {wanted}: NEW publishes a DRAFT or a DISABLED one, DISABLED switches a "
        "published one off.",
        path=["status"],
    )


def _check_unread(attribute: ComputedAttribute, others: Iterable[ComputedAttribute], field: str) -> None:
    if reading := dependents(attribute, others):
        names = ", ".join(repr(each.name) for each in reading)
        raise Conflict(f"It is read by {names}: disable or delete that first.", path=[field])


def _check_change(attribute: ComputedAttribute, settings: AttributeSettings) -> None:
    """Refuse to change what a published attribute computes, and one that was published."""
    shown = replace(attribute.settings, display_name=settings.display_name, description=settings.description)
    if attribute.status is not AttributeStatus.DRAFT and shown != settings:
        message = f"It is {attribute.status}: only `displayName` and `description` change. Make another attribute of another expression."
        raise Conflict(message, path=["id"])


class _Checked(NamedTuple):
    derived: Derived
    has_partials: bool


class Standing(NamedTuple):
    """How far an attribute is: its status, where its partials stand, None without any, and the job that reads the events of the past for them."""

    status: AttributeStatus
    slot: int | None = None
    job_id: UUID | None = None


async def _publish(
    tx: Session, scope: Scope, attribute_id: UUID, checked: _Checked, others: Iterable[ComputedAttribute]
) -> Standing:
    """Return where an attribute stands that is published, and have a job read the events of the past for its partials, if it has some. None on a cluster."""
    if tx.is_distributed or not checked.has_partials:
        return Standing(AttributeStatus.PROCESSED)
    return await with_partials(tx, scope, attribute_id, others)


async def with_partials(tx: Session, scope: Scope, attribute_id: UUID, others: Iterable[ComputedAttribute]) -> Standing:
    """Have a job read the events of the past for the partials of an attribute, and return where it stands from then on, beside others."""
    job_id = await jobs.enqueue(tx, scope, JobKind.BACKFILL_COMPUTED_ATTRIBUTE, attribute_id)
    taken = {other.slot for other in others}
    return Standing(AttributeStatus.NEW, next(slot for slot in count() if slot not in taken), job_id)


async def _check(settings: AttributeSettings, unions: Unions, others: Sequence[ComputedAttribute]) -> _Checked:
    """Check an attribute beside the others, and return what follows from its expression. Raises Invalid, Taken, Conflict."""
    if len(settings.name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(settings.name):
        message = (
            f"A name is a letter, then letters and digits, {MAX_NAME_CHARACTERS} at most; `displayName` takes any text."
        )
        raise Invalid(message, path=["name"])
    _check_texts(settings)
    if any(other.name == settings.name for other in others):
        raise Taken(f"There is a computed attribute {settings.name!r} already.", path=["name"])
    if has_own_field(unions, settings.xdm_class):
        raise Conflict(f"A schema has a custom field {ATTRIBUTES_FIELD}, where computed attributes would stand.")
    checked = await asyncio.to_thread(_derived, settings, unions, others)
    _check_lookback(settings, checked.derived)
    return checked


def _check_texts(settings: AttributeSettings) -> None:
    """Check what people read of an attribute. Raises Invalid."""
    check_name(settings.display_name, "displayName")
    check_description(settings.description)


def _derived(settings: AttributeSettings, unions: Unions, others: Sequence[ComputedAttribute]) -> _Checked:
    """Return what follows from an expression, which may read the published ones of other attributes. Slow."""
    readable = programs_of(unions, others).readable
    computed = attribute_expressions.computation_of(settings.expression, settings.xdm_class, unions, readable)
    function = None if computed.aggregate is None else computed.aggregate.function.value
    derived = Derived(function, name_of(computed.return_type), computed.expression.paths)
    return _Checked(derived, computed.partial is not None)


def _check_lookback(settings: AttributeSettings, derived: Derived) -> None:
    if settings.lookback is None:
        return
    if derived.merge_function is None:
        raise Invalid("Only an aggregation of a person's events looks back.", path=["lookback"])
    try:
        check_lookback(settings.lookback)
    except BadInput as error:
        raise Invalid(error.message, path=["lookback"]) from error


def _check_active(others: Iterable[ComputedAttribute], most: int) -> None:
    if sum(other.is_published for other in others) >= most:
        raise TooMany(f"At most {most:,} computed attributes of a sandbox are published; disable one first.")


# ------------------------------------------------------------------------------------------------ rows


def _columns(settings: AttributeSettings, derived: Derived, stands: Standing) -> tuple[Any, ...]:
    lookback = None if settings.lookback is None else str(settings.lookback)
    shown = (settings.name, settings.display_name, settings.description, settings.xdm_class.value)
    computed = (settings.expression, lookback, settings.keep_current)
    return (*shown, *computed, derived.merge_function, derived.return_type, list(derived.dependencies), *stands)


def _told(attribute: ComputedAttribute) -> Mapping[str, Any]:
    """Return an attribute as the audit log tells it."""
    lookback = None if attribute.settings.lookback is None else str(attribute.settings.lookback)
    shown = {name: getattr(attribute.settings, name) for name in AttributeSettings.__slots__}
    return {**shown, "lookback": lookback, "status": attribute.status, "version": attribute.version}


def _attribute(scope: Scope, row: Any) -> ComputedAttribute:
    settings = AttributeSettings(
        **{name: row[name] for name in ("name", "display_name", "expression", "description", "keep_current")},
        lookback=None if row["lookback"] is None else parse_duration(row["lookback"]),
        xdm_class=XdmClass(row["class"]),
    )
    return ComputedAttribute(
        **{name: row[name] for name in ("attribute_id", "slot", "job_id", "backfilled_at")},
        **edited_columns(row),
        tenant_code=scope.organization.code,
        settings=settings,
        derived=Derived(row["merge_function"], row["return_type"], tuple(row["dependencies"])),
        status=AttributeStatus(row["status"]),
    )
