"""What computed attributes compute: their expressions, checked against what profiles and events of the sandbox can say.

An attribute is one aggregation of the person's events, or an expression over the profile and other attributes, which stand in it at
`_{tenant}.ComputedAttributes`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.errors import Invalid
from gateway.pql.aggregates import Aggregate, aggregate_of, explained
from gateway.pql.check import check, profile_type
from gateway.pql.problems import Problem
from gateway.pql.typed import EVENTS, Expression
from gateway.pql.types import ObjectOf, Type
from gateway.xdm.fields import Field

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


@dataclass(frozen=True, slots=True)
class Computation:
    """What an attribute computes. `needs`: the names of the attributes that it reads; `aggregate`: None for an expression over the profile."""

    expression: Expression
    aggregate: Aggregate | None
    return_type: Type
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A published attribute as it is evaluated. `expression` gives what `pql.aggregates.explained` says; `level` is more than those of all attributes that it reads."""

    name: str
    expression: Expression
    is_of_events: bool
    return_type: Type
    needs: tuple[str, ...]
    level: int


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of a sandbox by the names of their attributes, each behind those that it reads, and why others cannot be made."""

    programs: Mapping[str, Program] = field(default_factory=dict)
    faults: Mapping[str, Invalid] = field(default_factory=dict)


def computation_of(text: str, unions: Unions, readable: Mapping[str, Type]) -> Computation:
    """Return what an expression computes. `readable`: the types of the attributes that it may read, by name. Raises Invalid with line and column."""
    checked = check(text, _input_type(unions, readable))
    if checked.expression is None or checked.type is None:
        raise _refused(checked.errors[0])
    expression = checked.expression
    aggregate = aggregate_of(expression) if expression.reads_events else None
    if expression.reads_events and (aggregate is None or not _are_of_events(expression.paths)):
        raise _refused(_MIXED)
    if aggregate is not None and expression.reads_time:
        raise _refused(_TIMED)
    if unions.prefix.removesuffix(".") in expression.paths:
        raise _refused(_ALL)
    needs = tuple(path.removeprefix(unions.prefix) for path in expression.paths if path.startswith(unions.prefix))
    return Computation(expression, aggregate, checked.type, tuple(dict.fromkeys(each.split(".")[0] for each in needs)))


def has_own_field(unions: Unions) -> bool:
    """Return whether schemas have a custom field of the name that is reserved now."""
    own = unions.profile["properties"].get(f"_{unions.tenant_code}", {}).get("properties", {})
    return ATTRIBUTES_FIELD in own


def make_programs(unions: Unions, texts: Sequence[tuple[str, str]]) -> Programs:
    """Make programs of pairs of a name and an expression, which read each other without a circle. Slow."""
    made: dict[str, Program] = {}
    waiting, faults = dict(texts), dict[str, Invalid]()
    while waiting:
        found = dict[str, Program]()
        readable = {name: program.return_type for name, program in made.items()}
        for name, text in waiting.items():
            try:
                computed = computation_of(text, unions, readable)
            except Invalid as fault:
                faults[name] = fault
            else:
                level = 1 + max((made[need].level for need in computed.needs), default=-1)
                parts = explained(computed.expression, computed.aggregate)
                is_of_events = computed.aggregate is not None
                found[name] = Program(name, parts, is_of_events, computed.return_type, computed.needs, level)
        if not found:
            break
        made |= found
        waiting = {name: text for name, text in waiting.items() if name not in found}
    return Programs(made, {name: faults[name] for name in waiting})


def in_order(programs: Mapping[str, Program], names: Iterable[str]) -> list[Program]:
    """Return the programs of these attributes and of all that they read, each behind those that it reads."""
    wanted, open_ = set[str](), list(names)
    while open_:
        name = open_.pop()
        if name not in wanted:
            wanted.add(name)
            open_ += programs[name].needs
    return sorted((programs[name] for name in wanted), key=lambda program: (program.level, program.name))


def _input_type(unions: Unions, readable: Mapping[str, Type]) -> ObjectOf:
    """Return the type of a profile with its events, and with these attributes."""
    profile = profile_type(unions.profile, unions.event)
    if not readable:
        return profile
    tenant = f"_{unions.tenant_code}"
    own = unions.profile["properties"].get(tenant)
    fields = own["properties"] if own else {}
    attributes = ObjectOf({}, dict(readable))
    return ObjectOf(profile.schema, {**profile.more, tenant: ObjectOf(fields, {ATTRIBUTES_FIELD: attributes})})


def _are_of_events(paths: Iterable[str]) -> bool:
    return all(path == EVENTS or path.startswith(f"{EVENTS}.") for path in paths)


def _refused(problem: Problem) -> Invalid:
    error = problem.error
    return Invalid(error.message, path=["expression"], line=problem.line, column=problem.column)


_MIXED: Final = Problem(
    'An attribute is one aggregation of events, such as `xEvent[eventType = "commerce.purchases"].count()`, which looks at each event '
    "alone; or an expression over the profile and other attributes. Make an attribute of each aggregation, and one over them.",
    1,
    1,
)
_TIMED: Final = Problem(
    "Which events count by their age is said by `lookback`, not by the time in the expression.", 1, 1
)
_ALL: Final = Problem("Name the attribute that is read.", 1, 1)
