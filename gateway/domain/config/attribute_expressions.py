"""What computed attributes compute: their expressions, checked against what profiles and events of the sandbox can say.

An attribute of people is one aggregation of a person's events, or an expression over the profile and other attributes, which stand in it
at `_{tenant}.ComputedAttributes`. An attribute of events is an expression over one event, in which aggregations and conditions find it at
that path.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.config.attribute_programs import ATTRIBUTES_FIELD, Definition, Program, Programs, Readable, Unions
from gateway.errors import Invalid
from gateway.pql.aggregates import Aggregate, aggregate_of, explained, takes_whole_input
from gateway.pql.check import check, event_type, profile_type
from gateway.pql.partials import PartialOf, partial_of
from gateway.pql.problems import Problem
from gateway.pql.typed import ComputedFields, Expression, Window
from gateway.pql.types import EVENTS, ArrayOf, MapOf, ObjectOf, Type
from gateway.xdm.classes import XdmClass
from gateway.xdm.custom import are_field_names
from gateway.xdm.fields import Field


@dataclass(frozen=True, slots=True)
class Computation:
    """What an attribute computes. `needs`: the names of the attributes of people that it reads; `aggregate`: None unless it is one of events."""

    expression: Expression
    aggregate: Aggregate | None
    return_type: Type
    needs: tuple[str, ...]

    @property
    def partial(self) -> PartialOf | None:
        """Its partials, None where it has none."""
        return partial_of(self.expression, self.aggregate)


def computation_of(text: str, xdm_class: XdmClass, unions: Unions, readable: Readable) -> Computation:
    """Return what an expression computes of a person, by what is readable, or of one event by that alone. Raises Invalid with line and column."""
    if xdm_class is XdmClass.EXPERIENCE_EVENT:
        return _computation_of_event(text, unions)
    expression = _checked(text, profile_type_of(unions, readable))
    aggregate = aggregate_of(expression) if expression.reads_events else None
    if expression.reads_events and (aggregate is None or not _are_of_events(expression.paths)):
        raise _refused(_MIXED)
    if aggregate is not None and expression.reads_time:
        raise _refused(_TIMED)
    whole = {unions.prefix.removesuffix("."), f"_{unions.tenant_code}"}
    if takes_whole_input(expression) or whole & set(expression.paths):
        raise _refused(_ALL)
    needs = tuple(path.removeprefix(unions.prefix) for path in expression.paths if path.startswith(unions.prefix))
    names = tuple(dict.fromkeys(each.split(".")[0] for each in needs))
    return Computation(expression, aggregate, expression.body.type, names)


def _computation_of_event(text: str, unions: Unions) -> Computation:
    expression = _checked(text, event_type(unions.event))
    if expression.reads_time:
        raise _refused(_TIMED_EVENT)
    return Computation(expression, None, expression.body.type, ())


def _checked(text: str, input_type: ObjectOf) -> Expression:
    checked = check(text, input_type)
    if checked.expression is None:
        raise _refused(checked.errors[0])
    if not _is_tellable(checked.expression.body.type):
        raise _refused(_UNTELLABLE)
    return checked.expression


def make_programs(unions: Unions, definitions: Sequence[Definition]) -> Programs:
    """Make what attributes are computed by, which read each other without a circle. Slow."""
    faults, events, people = dict[str, Invalid](), dict[str, Expression](), dict[str, Definition]()
    for each in definitions:
        if each.xdm_class is XdmClass.INDIVIDUAL_PROFILE:
            people[each.name] = each
            continue
        try:
            events[each.name] = computation_of(each.expression, each.xdm_class, unions, Readable()).expression
        except Invalid as fault:
            faults[each.name] = fault
    made = _programs_of_people(unions, people, events)
    return Programs(made.programs, events, {**faults, **made.faults})


def program_of(defined: Definition, unions: Unions, known: Programs) -> tuple[Program, Computation]:
    """Return the program of an attribute of people, which may read known ones, and what it computes. Raises Invalid with line and column."""
    computed = computation_of(defined.expression, defined.xdm_class, unions, known.readable)
    level = 1 + max((known.programs[need].level for need in computed.needs), default=-1)
    told = explained(computed.expression, computed.aggregate), computed.expression
    window, is_of_events = Window(defined.lookback), computed.aggregate is not None
    kind, needs = computed.return_type, computed.needs
    return Program(defined.name, *told, window, is_of_events, computed.partial, kind, needs, level), computed


def _programs_of_people(
    unions: Unions, definitions: Mapping[str, Definition], events: Mapping[str, Expression]
) -> Programs:
    made: dict[str, Program] = {}
    waiting, faults = dict(definitions), dict[str, Invalid]()
    while waiting:
        found = dict[str, Program]()
        known = Programs(made, events)
        for name, defined in waiting.items():
            try:
                found[name], _ = program_of(defined, unions, known)
            except Invalid as fault:
                faults[name] = fault
        if not found:
            break
        made |= found
        waiting = {name: defined for name, defined in waiting.items() if name not in found}
    return Programs(made, {}, {name: faults[name] for name in waiting})


def event_type_of(unions: Unions, events: Mapping[str, Expression]) -> ObjectOf:
    """Return the type of an event with these attributes, by their names."""
    if not events:
        return event_type(unions.event)
    return event_type(unions.event, _own(unions, unions.event, ComputedFields.of(events)))


def profile_type_of(unions: Unions, readable: Readable) -> ObjectOf:
    """Return the type of a profile with its events, and with what is readable of attributes."""
    profile = profile_type(unions.profile, event_type_of(unions, readable.events))
    if not readable.people:
        return profile
    expressions = {name: program.value for name, program in readable.people.items()}
    windows = {name: program.window for name, program in readable.people.items()}
    own = _own(unions, unions.profile, ComputedFields.of(expressions, windows))
    return ObjectOf(profile.schema, {**profile.more, **own})


def _own(unions: Unions, union: Field, attributes: ObjectOf) -> dict[str, Type]:
    """Return the tenant's object of a union, with attributes in it, by its name."""
    tenant = f"_{unions.tenant_code}"
    own = union["properties"].get(tenant)
    return {tenant: ObjectOf(own["properties"] if own else {}, {ATTRIBUTES_FIELD: attributes})}


def _is_tellable(kind: Type) -> bool:
    """Return whether the fields of objects that an expression makes can be fields of a schema."""
    match kind:
        case ArrayOf(item):
            return _is_tellable(item)
        case MapOf(value):
            return _is_tellable(value)
        case ObjectOf(schema, more) if not schema:
            return bool(more) and are_field_names(more) and all(map(_is_tellable, more.values()))
    return True


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
_TIMED_EVENT: Final = Problem("A value of an event is of that event alone: it does not change with the time.", 1, 1)
_UNTELLABLE: Final = Problem("An object in a value has fields, each with a name that a custom field could have.", 1, 1)
_ALL: Final = Problem("Name the field or the attribute that is read, not the object that they stand in.", 1, 1)
