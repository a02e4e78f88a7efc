"""Programs of computed attributes: what the published ones of a sandbox are computed by, and where they stand in its unions.

They are made in `attribute_expressions`, which reads the language: a process that meets no published attribute never imports that.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.domain.rules.durations import Duration
from gateway.errors import Invalid
from gateway.xdm.classes import XdmClass
from gateway.xdm.fields import COMPUTED, Field, complete

if TYPE_CHECKING:
    from gateway.pql.partials import PartialOf
    from gateway.pql.typed import Expression, Window
    from gateway.pql.types import Type

ATTRIBUTES_FIELD: Final = "ComputedAttributes"
"""The field of a tenant that attributes stand in. No custom field has this name."""


class Unions(NamedTuple):
    """The unions of a sandbox's schemas of profiles and of events, and the code below whose name its own fields stand. Never change them."""

    tenant_code: str
    profile: Field
    event: Field

    @property
    def prefix(self) -> str:
        """The dotted path of the object that attributes stand in, with a dot behind it."""
        return f"_{self.tenant_code}.{ATTRIBUTES_FIELD}."


class Definition(NamedTuple):
    """A published attribute as it is stored: its name, its expression, what it is of, and how old its events may be."""

    name: str
    expression: str
    xdm_class: XdmClass
    lookback: Duration | None = None


@dataclass(frozen=True, slots=True)
class Readable:
    """What an expression over a profile may read of attributes, by their names: the programs of those of people, the expressions of those of events."""

    people: "Mapping[str, Program]" = field(default_factory=dict)
    events: "Mapping[str, Expression]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A published attribute of people as it is evaluated. `expression` gives what `pql.aggregates.explained` says, `value` the value alone; `level` is more than those of all attributes that it reads.

    `partial`: None where it has no partials.
    """

    name: str
    expression: "Expression"
    value: "Expression"
    window: "Window"
    is_of_events: bool
    partial: "PartialOf | None"
    return_type: "Type"
    needs: tuple[str, ...]
    level: int


@dataclass(frozen=True, slots=True)
class Programs:
    """What a sandbox's published attributes are computed by, by their names: programs of those of people, each behind those that it reads;
    expressions over one event of those of events. `faults`: why others cannot be computed."""

    programs: Mapping[str, Program] = field(default_factory=dict)
    events: "Mapping[str, Expression]" = field(default_factory=dict)
    faults: Mapping[str, Invalid] = field(default_factory=dict)

    @property
    def types(self) -> "Mapping[str, Type]":
        """The types of the values of all of them."""
        people = {name: program.return_type for name, program in self.programs.items()}
        return {**people, **{name: each.body.type for name, each in self.events.items()}}

    @property
    def readable(self) -> Readable:
        """What other attributes may read of these."""
        return Readable(self.programs, self.events)


def has_own_field(unions: Unions, xdm_class: XdmClass) -> bool:
    """Return whether schemas of a class have a custom field of the name that is reserved now."""
    union = unions.event if xdm_class is XdmClass.EXPERIENCE_EVENT else unions.profile
    own = union["properties"].get(f"_{unions.tenant_code}", {}).get("properties", {})
    return ATTRIBUTES_FIELD in own


def with_attributes(union: Field, tenant_code: str, attributes: Mapping[str, Field]) -> Field:
    """Return a union with attributes, by their names, in the tenant's object; the union itself if there are none."""
    if not attributes:
        return union
    tenant, properties = f"_{tenant_code}", union["properties"]
    own = properties.get(tenant) or complete(
        {"type": "object", "title": "Fields of the organization", "properties": {}}
    )
    computed = complete(
        {"type": "object", "title": "Values that are computed as they are read", "properties": dict(attributes)}
    )
    fields = {**own["properties"], ATTRIBUTES_FIELD: {**computed, COMPUTED: True}}
    return {**union, "properties": {**properties, tenant: {**own, "properties": fields}}}


def in_order(programs: Mapping[str, Program], names: Iterable[str]) -> list[Program]:
    """Return the programs of these attributes and of all that they read, each behind those that it reads."""
    wanted, open_ = set[str](), list(names)
    while open_:
        name = open_.pop()
        if name not in wanted:
            wanted.add(name)
            open_ += programs[name].needs
    return sorted((programs[name] for name in wanted), key=lambda program: (program.level, program.name))
