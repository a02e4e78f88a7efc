"""`gateway attributes`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

import orjson
import typer
from rich.table import Table

from gateway.cli.notes import results
from gateway.cli.options import DataDir, SandboxName, command_group, run, settings_of
from gateway.domain.config.computed_attributes import (
    AttributeSettings,
    AttributeStatus,
    ComputedAttribute,
    create_attribute,
    delete_attribute,
    update_attribute,
)
from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.reading.attribute_previews import DEFAULT_SAMPLE, Preview, preview_attribute
from gateway.domain.rules.durations import Duration, parse_duration
from gateway.domain.rules.scope import Scope
from gateway.errors import NotFound
from gateway.pql.types import name_of
from gateway.server.deployment import open_deployment
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.xdm.classes import XdmClass

Name = Annotated[str, typer.Argument(help="Name of the attribute, as `gateway attributes list` shows it.")]
Expression = Annotated[str | None, typer.Option(help="What is to be computed, in PQL.", show_default=False)]
DisplayName = Annotated[str | None, typer.Option(help="What people are to call it.", show_default=False)]
Description = Annotated[str | None, typer.Option(help="What it is for.", show_default=False)]
Lookback = Annotated[
    str | None,
    typer.Option(
        help="How old the events may be, as in `PT24H`, `P7D` or `P6M`; `all` of any age.", show_default=False
    ),
]

ALL = "all"
"""The look-back of a lifetime."""

PREVIEW_SECONDS: Final = 30.0
SHOWN: Final = 5
"""Values that a preview shows."""

attributes = command_group()


@attributes.callback()
def _attributes() -> None:
    """List, create, edit, publish, disable and delete computed attributes: values that every person has, or every event.

    Works while a server runs on the same data directory, and when none does.
    """


@attributes.command("list")
def list_(sandbox: SandboxName = None, data_dir: DataDir = None) -> None:
    """List the computed attributes of a sandbox by name."""
    results.print(_table(run(_list(settings_of(data_dir=data_dir), sandbox))))


@attributes.command()
def show(name: Name, sandbox: SandboxName = None, data_dir: DataDir = None) -> None:
    """Show all that is known of a computed attribute."""
    results.print(_details(run(_show(settings_of(data_dir=data_dir), sandbox, name))))


@attributes.command()
def create(
    name: Annotated[str, typer.Argument(help="What programs will call it: a letter, then letters and digits.")],
    expression: Annotated[str, typer.Argument(help="What is computed, in PQL, as in `xEvent.count()`.")],
    *,
    display_name: DisplayName = None,
    description: Description = None,
    lookback: Lookback = None,
    of_events: Annotated[
        bool, typer.Option("--of-events", help="Every event has a value, computed from it alone; else people have.")
    ] = False,
    publish: Annotated[bool, typer.Option("--publish", help="Publish it at once; else it is a DRAFT.")] = False,
    sandbox: SandboxName = None,
    data_dir: DataDir = None,
) -> None:
    """Create a computed attribute."""
    given = {"display_name": display_name or name, "description": description, **_window(lookback)}
    xdm_class = XdmClass.EXPERIENCE_EVENT if of_events else XdmClass.INDIVIDUAL_PROFILE
    made = AttributeSettings(name=name, expression=expression, xdm_class=xdm_class, **given)
    run(_create(settings_of(data_dir=data_dir), sandbox, made, publish=publish))


@attributes.command()
def preview(
    expression: Annotated[str, typer.Argument(help="What would be computed, in PQL, as in `xEvent.count()`.")],
    *,
    lookback: Lookback = None,
    sample: Annotated[int, typer.Option(help="How many people to look at.")] = DEFAULT_SAMPLE,
    sandbox: SandboxName = None,
    data_dir: DataDir = None,
) -> None:
    """Show what an expression would give for a sample of people, and store nothing."""
    window = _window(lookback).get("lookback")
    results.print(_previewed(run(_preview(settings_of(data_dir=data_dir), sandbox, expression, window, sample))))


@attributes.command()
def edit(
    name: Name,
    *,
    expression: Expression = None,
    display_name: DisplayName = None,
    description: Description = None,
    lookback: Lookback = None,
    sandbox: SandboxName = None,
    data_dir: DataDir = None,
) -> None:
    """Change a computed attribute: a published one in how it is shown alone."""
    given = {"expression": expression, "display_name": display_name, "description": description}
    changes = {key: value for key, value in given.items() if value is not None} | _window(lookback)
    run(_update(settings_of(data_dir=data_dir), sandbox, name, changes))


@attributes.command()
def publish(name: Name, sandbox: SandboxName = None, data_dir: DataDir = None) -> None:
    """Publish a computed attribute that is a DRAFT or DISABLED: it has values from now on."""
    run(_update(settings_of(data_dir=data_dir), sandbox, name, {}, AttributeStatus.NEW))


@attributes.command()
def disable(name: Name, sandbox: SandboxName = None, data_dir: DataDir = None) -> None:
    """Switch a published computed attribute off: it has no values until it is published again."""
    run(_update(settings_of(data_dir=data_dir), sandbox, name, {}, AttributeStatus.DISABLED))


@attributes.command()
def delete(name: Name, sandbox: SandboxName = None, data_dir: DataDir = None) -> None:
    """Delete a computed attribute that is a DRAFT or DISABLED."""
    run(_delete(settings_of(data_dir=data_dir), sandbox, name))


def _window(lookback: str | None) -> dict[str, Any]:
    """Return the change that the option `--lookback` makes. Raises BadInput for what is no duration."""
    return {} if lookback is None else {"lookback": None if lookback == ALL else parse_duration(lookback)}


# ------------------------------------------------------------------------------------------------ work


@dataclass(frozen=True, slots=True)
class _Place:
    """The sandbox that a command works in."""

    db: Database
    scope: Scope
    config: Configuration

    def find(self, name: str) -> ComputedAttribute:
        """Return the attribute of this name. Raises NotFound, Misconfigured."""
        found = self.config.attributes.named(name, lambda attribute: attribute.name)
        if found is None:
            raise NotFound(f"There is no computed attribute {name!r}.")
        return found


@asynccontextmanager
async def _opened(settings: Settings, sandbox: str | None) -> AsyncIterator[_Place]:
    async with open_deployment(settings) as deployment:
        scope = await deployment.scope(sandbox)
        yield _Place(deployment.db, scope, await Configurations().read(deployment.db, scope))


async def _list(settings: Settings, sandbox: str | None) -> list[ComputedAttribute]:
    async with _opened(settings, sandbox) as place:
        return list(place.config.attributes.values())


async def _show(settings: Settings, sandbox: str | None, name: str) -> ComputedAttribute:
    async with _opened(settings, sandbox) as place:
        return place.find(name)


async def _create(settings: Settings, sandbox: str | None, made: AttributeSettings, *, publish: bool) -> None:
    async with _opened(settings, sandbox) as place:
        most = settings.computed_attributes
        await create_attribute(place.db, place.scope, place.config.unions, made, most=most, publish=publish)


async def _preview(
    settings: Settings, sandbox: str | None, expression: str, lookback: Duration | None, sample: int
) -> Preview:
    async with _opened(settings, sandbox) as place:
        return await preview_attribute(
            *(place.db, place.scope, place.config, place.config.default_policy),
            text=expression,
            lookback=lookback,
            sample=sample,
            seconds=PREVIEW_SECONDS,
        )


async def _update(
    settings: Settings,
    sandbox: str | None,
    name: str,
    changes: dict[str, Any],
    status: AttributeStatus | None = None,
) -> None:
    async with _opened(settings, sandbox) as place:
        attribute_id, most = place.find(name).attribute_id, settings.computed_attributes
        given = (place.db, place.scope, place.config.unions, attribute_id, changes)
        await update_attribute(*given, most=most, status=status)


async def _delete(settings: Settings, sandbox: str | None, name: str) -> None:
    async with _opened(settings, sandbox) as place:
        await delete_attribute(place.db, place.scope, place.find(name).attribute_id)


# ------------------------------------------------------------------------------------------------ what is shown


def _table(listed: list[ComputedAttribute]) -> Table:
    table = Table("name", "of", "status", "function", "type", "lookback", "expression", box=None, pad_edge=False)
    for each in listed:
        table.add_row(each.name, *_computed(each), each.settings.expression)
    return table


def _computed(attribute: ComputedAttribute) -> tuple[str, ...]:
    lookback = attribute.settings.lookback
    derived = attribute.derived
    return (
        "people" if attribute.is_of_people else "events",
        attribute.status,
        derived.merge_function or "-",
        derived.return_type,
        ALL if lookback is None else str(lookback),
    )


def _previewed(found: Preview) -> Table:
    computation = found.computation
    function = "-" if computation.aggregate is None else computation.aggregate.function.value
    values = [orjson.dumps(each.value).decode() for each in found.examples[:SHOWN]]
    table = Table("what", "value", box=None, pad_edge=False, show_header=False)
    for row in (
        ("function", function),
        ("type", name_of(computation.return_type)),
        ("reads", " ".join(computation.expression.paths) or "-"),
        ("cost", f"{computation.expression.cost:,} values a person, {found.seconds:.3f} s for all"),
        ("people", f"{found.people_sampled:,}{'' if found.is_complete else ', then time was up'}"),
        ("with events", f"{found.people_with_events:,}"),
        ("with a value", f"{found.people_with_value:,}"),
        ("beyond a double", f"{found.people_beyond:,}"),
        ("such as", " ".join(values) or "-"),
    ):
        table.add_row(*row)
    return table


def _details(attribute: ComputedAttribute) -> Table:
    settings, derived = attribute.settings, attribute.derived
    table = Table("what", "value", box=None, pad_edge=False, show_header=False)
    rows = zip(("of", "status", "function", "type", "lookback"), _computed(attribute), strict=True)
    shown = [
        ("name", attribute.name),
        ("display name", settings.display_name),
        ("description", settings.description or "-"),
    ]
    about = [
        ("expression", settings.expression),
        ("reads", " ".join(derived.dependencies) or "-"),
        ("path", attribute.path),
    ]
    made = [("version", str(attribute.version)), ("created by", attribute.created_by or "-")]
    for row in (*shown, *rows, *about, *made):
        table.add_row(*row)
    return table
