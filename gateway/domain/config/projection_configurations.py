"""Configurations of projections: under a name, the part of every person that edges hold ready, and the destination that it goes to.

People are projected as the policy sees them that is active on the edge, so there has to be one. A selector is checked against the union of
profiles with the published computed attributes in it, those of events against that of events.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID, uuid4

from gateway.domain.config.broken_rows import MAX_FAULT_CHARACTERS, Broken, parse_rows, refuse_change
from gateway.domain.config.computed_attributes import load_attributes
from gateway.domain.config.policies import load_policies
from gateway.domain.config.projection_contents import lacking, renew
from gateway.domain.config.projection_destinations import find_destination, load_destinations
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.rules import selectors
from gateway.domain.rules.durations import LOOKBACK_YEARS, Duration, parse_duration
from gateway.domain.rules.edited import Edited, check_version, edited_columns
from gateway.domain.rules.limits import PROJECTIONS, check_room
from gateway.domain.rules.names import check_name
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.rules.selectors import Selector
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.errors import BadSelector, Conflict, Invalid, NotFound, Taken
from gateway.pql.types import EVENTS, ObjectOf
from gateway.runtime.late import late
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.xdm.classes import XdmClass
from gateway.xdm.fields import Field

if TYPE_CHECKING:
    from gateway.pql import check
else:
    check = late("gateway.pql.check")

LIST = query("projection_configurations.list_configurations")
CREATE = query("projection_configurations.create_configuration")
UPDATE = query("projection_configurations.update_configuration")
DELETE = query("projection_configurations.delete_configuration")

MAX_SELECTOR_CHARACTERS: Final = 10_000
"""Characters of one selector of a configuration."""
MAX_EVENTS: Final = 100
"""Events of one projection."""
LEAST_WITHIN: Final = 60
"""Seconds that a window of events has at least."""
_DAYS_OF_A_YEAR: Final = 366


@dataclass(frozen=True, slots=True)
class EventWindow:
    """The newest events of a person: at most `last` of them that fulfil the condition `where`, none older than `within`, cut down by a selector.

    None stands for every event, and for events of any age.
    """

    selector: str
    last: int = 10
    within: Duration | None = None
    where: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectionSettings:
    """The part of a configuration that callers choose: its name, its destination, the selector of the profile, and the window of events, if any."""

    name: str
    destination_id: UUID
    selector: str
    events: EventWindow | None = None


@dataclass(frozen=True, slots=True)
class ProjectionConfiguration(Edited):
    """A configuration. `content_version` grows with all that changes what it gives edges, `version` with what callers change of it.

    `paths`: what it selects or reads, dotted, that of events under `xEvent`. `tree` and `event_tree`: its selectors, parsed; None without events.
    `fault`: why edges are not given all of that, since some of it is in the union no longer; None as a rule.
    """

    configuration_id: UUID
    settings: ProjectionSettings
    paths: tuple[str, ...]
    content_version: int
    tree: Selector = field(repr=False, compare=False)
    event_tree: Selector | None = field(repr=False, compare=False)
    fault: str | None = None

    @property
    def name(self) -> str:
        return self.settings.name


@dataclass(frozen=True, slots=True)
class Selectable:
    """What can be selected: fields of the unions with published attributes in them. `prefix`: where attributes stand; `event_type`: what conditions are over."""

    profile: Field
    event: Field
    event_type: ObjectOf
    prefix: str


async def load_projections(
    tx: Session, scope: Scope, broken: Broken[UUID] | None = None
) -> list[ProjectionConfiguration]:
    """Load all configurations of the sandbox, by name. Needs no permission. Rows that cannot be parsed go into `broken`."""
    rows = await tx.rows(LIST, scope.sandbox_id)
    return parse_rows(
        rows, _configuration, broken, table="projection_configuration", key="configuration_id", name="name"
    )


def fitted(configuration: ProjectionConfiguration, profile: Field, event: Field) -> ProjectionConfiguration:
    """Return a configuration with its fault where these unions lack something that it selects or reads: then the rest of it is given."""
    gone = lacking(configuration.paths, profile, event)
    if not gone:
        return configuration
    fault = f"The union has no field {', '.join(map(repr, gone))} any more: edges get the rest."
    return replace(configuration, fault=fault[:MAX_FAULT_CHARACTERS])


async def create_projection(
    db: Database,
    scope: Scope,
    selectable: Selectable,
    settings: ProjectionSettings,
    *,
    xdm_class: XdmClass = XdmClass.INDIVIDUAL_PROFILE,
) -> ProjectionConfiguration:
    """Create a configuration: a job delivers what it selects of everybody. Needs `config:write`.

    Raises Forbidden, TooMany, Taken, Invalid (with line and column for a selector or a condition), NotFound for the destination, and Conflict
    without a policy that is active on the edge.
    """
    scope.require(Permission.CONFIG_WRITE)
    if xdm_class is not XdmClass.INDIVIDUAL_PROFILE:
        raise Invalid("Only profiles are projected; `events` takes events along.", path=["class"])
    checked = await _check(selectable, settings)
    configuration_id = uuid4()
    async with db.transaction(scope.sandbox_id) as tx:
        await lock_configuration(tx, scope)
        broken: Broken[UUID] = {}
        others = await load_projections(tx, scope, broken)
        check_room(len(others) + len(broken), PROJECTIONS, "projections; delete one first", "A sandbox")
        if not any(policy.settings.is_active_on_edge for policy in await load_policies(tx, scope)):
            raise Conflict("No merge policy is active on the edge: set `isActiveOnEdge` of one first.")
        await _check_beside(tx, scope, settings, checked, others)
        await tx.execute(CREATE, scope.sandbox_id, configuration_id, *_columns(settings, checked), scope.actor)
        await renew(tx, scope, [configuration_id])
        made = _find(await load_projections(tx, scope), configuration_id)
        await audit.record(tx, scope, "createProjectionConfiguration", _subject(made), after=_told(made))
        return made


async def update_projection(
    db: Database,
    scope: Scope,
    selectable: Selectable,
    configuration_id: UUID,
    changes: Mapping[str, Any],
    *,
    current_version: int,
) -> ProjectionConfiguration:
    """Change settings of a configuration, by their names in ProjectionSettings, and return it. Needs `config:write`.

    Edges serve what they have until a job has delivered all of the new view. Raises Forbidden, NotFound for it or its destination, Taken,
    Invalid (with line and column for a selector or a condition), Stale unless `current_version` is its version, and Conflict for a broken one.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        before, others = await _locked(tx, scope, configuration_id)
        check_version(before.version, current_version)
        settings = replace(before.settings, **changes)
        if settings == before.settings:
            return before
        checked = await _check(selectable, settings)
        await _check_beside(tx, scope, settings, checked, others)
        await tx.execute(UPDATE, scope.sandbox_id, configuration_id, *_columns(settings, checked))
        await renew(tx, scope, [configuration_id])
        changed = _find(await load_projections(tx, scope), configuration_id)
        states = {"before": _told(before), "after": _told(changed)}
        await audit.record(tx, scope, "updateProjectionConfiguration", _subject(changed), **states)
        return changed


async def delete_projection(
    db: Database, scope: Scope, configuration_id: UUID, current_version: int | None = None
) -> None:
    """Delete a configuration: edges forget what they hold of it. Needs `config:write`.

    Raises Forbidden, NotFound, and Stale unless `current_version` is None or its version, and Conflict for a broken one.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        before, _ = await _locked(tx, scope, configuration_id)
        check_version(before.version, current_version)
        await tx.execute(DELETE, scope.sandbox_id, configuration_id)
        await audit.record(tx, scope, "deleteProjectionConfiguration", _subject(before), before=_told(before))


async def _locked(
    tx: Session, scope: Scope, configuration_id: UUID
) -> tuple[ProjectionConfiguration, list[ProjectionConfiguration]]:
    """Load a configuration, and the others, under the lock of the sandbox's configuration."""
    await lock_configuration(tx, scope)
    broken: Broken[UUID] = {}
    found = await load_projections(tx, scope, broken)
    refuse_change(broken, configuration_id)
    one = _find(found, configuration_id)
    return one, [other for other in found if other is not one]


def _subject(configuration: ProjectionConfiguration) -> Subject:
    return Subject("ProjectionConfiguration", (configuration.configuration_id,))


def _find(configurations: Sequence[ProjectionConfiguration], configuration_id: UUID) -> ProjectionConfiguration:
    found = next((each for each in configurations if each.configuration_id == configuration_id), None)
    if found is None:
        raise NotFound("There is no projection with this id.", path=["id"])
    return found


# ------------------------------------------------------------------------------------------------ rules


class _Checked(NamedTuple):
    """The paths that a configuration selects or reads, and the names of the computed attributes among them."""

    paths: tuple[str, ...]
    attributes: frozenset[str]


async def _check(selectable: Selectable, settings: ProjectionSettings) -> _Checked:
    """Check what can be checked of settings by themselves. Raises Invalid."""
    check_name(settings.name)
    paths = _paths(settings.selector, selectable.profile, "selector")
    window = settings.events
    if window is None:
        return _checked(selectable, paths, ())
    if not 1 <= window.last <= MAX_EVENTS:
        raise Invalid(f"A projection has 1 to {MAX_EVENTS} events.", path=["events", "last"])
    if window.within is not None:
        _check_within(window.within)
    of_events = _paths(window.selector, selectable.event, "events", "selector")
    if window.where is not None:
        of_events += await asyncio.to_thread(_read_by, selectable, window.where)
    return _checked(selectable, paths, tuple(dict.fromkeys(of_events)))


def _checked(selectable: Selectable, paths: tuple[str, ...], of_events: tuple[str, ...]) -> _Checked:
    prefix = selectable.prefix
    named = (path.removeprefix(prefix).split(".")[0] for path in (*paths, *of_events) if path.startswith(prefix))
    return _Checked((*paths, *(f"{EVENTS}.{path}" for path in of_events)), frozenset(named))


def _paths(text: str, schema: Field, *place: str) -> tuple[str, ...]:
    """Return the dotted paths that a selector names in a schema. Raises Invalid, with the place in the input, line and column."""
    if len(text) > MAX_SELECTOR_CHARACTERS:
        raise Invalid(f"A selector has at most {MAX_SELECTOR_CHARACTERS:,} characters here.", path=place)
    try:
        tree = selectors.parse(text, schema)
    except BadSelector as error:
        raise Invalid(error.message, path=place, line=error.line, column=error.column) from error
    return tuple(".".join(path) for path in selectors.paths(tree))


def _check_within(within: Duration) -> None:
    months, seconds = within.parts
    if within.most_days > LOOKBACK_YEARS * _DAYS_OF_A_YEAR or (not months and seconds < LEAST_WITHIN):
        raise Invalid(f"It is from a minute to {LOOKBACK_YEARS} years.", path=["events", "within"])


def _read_by(selectable: Selectable, where: str) -> tuple[str, ...]:
    """Return the paths that a condition over events reads. Raises Invalid with line and column. Slow."""
    path = ["events", "where"]
    checked = check.check(where, selectable.event_type, is_condition=True)
    if checked.expression is None:
        error = checked.errors[0].error
        raise Invalid(error.message, path=path, line=error.line, column=error.column)
    if checked.expression.reads_time:
        message = "Which events count by their age is said by `within`, not by the time in the condition."
        raise Invalid(message, path=path, line=1, column=1)
    return tuple(checked.expression.paths)


async def _check_beside(
    tx: Session,
    scope: Scope,
    settings: ProjectionSettings,
    checked: _Checked,
    others: Sequence[ProjectionConfiguration],
) -> None:
    """Check settings against the rest of the configuration, under its lock. Raises Taken, NotFound, Conflict."""
    if any(other.name == settings.name for other in others):
        raise Taken(f"There is a projection {settings.name!r} already.", path=["name"])
    find_destination(await load_destinations(tx, scope), settings.destination_id, "destinationId")
    published = {each.name for each in await load_attributes(tx, scope) if each.is_published}
    if gone := checked.attributes - published:  # since the selector was checked
        raise Conflict(f"The computed attribute {min(gone)!r} has just been switched off.")


# ------------------------------------------------------------------------------------------------ rows


def _columns(settings: ProjectionSettings, checked: _Checked) -> tuple[Any, ...]:
    window = settings.events
    events: tuple[Any, ...] = (None, None, None, None)
    if window is not None:
        events = (window.selector, window.last, None if window.within is None else str(window.within), window.where)
    return (settings.name, settings.destination_id, settings.selector, *events, list(checked.paths))


def _told(configuration: ProjectionConfiguration) -> Mapping[str, Any]:
    """Return a configuration as the audit log tells it."""
    of = configuration.settings
    window = of.events and {
        "selector": of.events.selector,
        "last": of.events.last,
        "within": None if of.events.within is None else str(of.events.within),
        "where": of.events.where,
    }
    chosen = {"name": of.name, "destinationId": of.destination_id, "selector": of.selector, "events": window}
    return {**chosen, "version": configuration.version}


def _configuration(row: Any) -> ProjectionConfiguration:
    window = None
    if row["event_selector"] is not None:
        within = None if row["event_within"] is None else parse_duration(row["event_within"])
        window = EventWindow(row["event_selector"], row["event_last"], within, row["event_where"])
    return ProjectionConfiguration(
        configuration_id=row["configuration_id"],
        settings=ProjectionSettings(row["name"], row["destination_id"], row["selector"], window),
        paths=tuple(row["paths"]),
        content_version=row["content_version"],
        tree=selectors.parse(row["selector"]),
        event_tree=None if window is None else selectors.parse(window.selector),
        **edited_columns(row),
    )
