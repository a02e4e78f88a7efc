"""What names mean at a place of an expression, and reading fields by them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from gateway.pql import ast
from gateway.pql.problems import Refused
from gateway.pql.typed import Computed, ComputedFields, Mapped, Missing, Path, Read, Typed, Variable, path_of
from gateway.pql.types import ArrayOf, MapOf, ObjectOf, Scalar, Type, described
from gateway.xdm.fields import Field
from gateway.xdm.names import similar_names

MISSING: Final = Missing(Scalar.UNKNOWN)
"""Stands for a part with a mistake, too: its type goes with every other, so that one mistake is told once."""

_COMPUTED_DEPTH: Final = 2
"""Steps from a record to the object of its computed fields: a tenant's name, and theirs."""
_MAX_SUGGESTIONS: Final = 3
_MAX_LEVELS: Final = 5
_FUNCTIONS_ELSEWHERE: Final = {
    **dict.fromkeys(("length", "len", "size"), "count"),
    **dict.fromkeys(("avg", "mean"), "average"),
    "first": "head",
    "has": "includes",
    "unique": "distinct",
    "defined": "isNotNull",
}
"""Functions of other languages, in small letters, and what they are called here."""
_ELSEWHERE: Final = {"null": "`.isNull()`", "none": "`.isNull()`", "nil": "`.isNull()`"}


@dataclass(frozen=True, slots=True)
class Names:
    """What names mean at a place: `items` are the values whose fields need no name before them, the innermost last; `known` are variables.

    `loops`: through how many arrays in each other the place is reached.
    """

    items: tuple[Typed, ...]
    known: Mapping[str, Typed] = field(default_factory=dict)
    loops: int = 0

    def inside(self, item: Variable) -> "Names":
        """Return the names inside a filter: fields are those of the item."""
        return replace(self, items=(*self.items, item), loops=self.loops + 1)

    def with_item(self, name: str, item: Typed) -> "Names":
        """Return the names where an item has a name of its own."""
        return replace(self, known={**self.known, name: item}, loops=self.loops + 1)

    def with_value(self, name: str, value: Typed) -> "Names":
        """Return the names where a value has a name."""
        return replace(self, known={**self.known, name: value})


class Checking(Protocol):
    """What functions need of the check that they are part of."""

    def value(self, node: ast.Node, names: Names) -> Typed:
        """Return what a node means; MISSING, once its mistake is noted."""

    def condition(self, node: ast.Node, names: Names) -> Typed:
        """Return what a node means as a condition: an array that was filtered holds if anything is left of it."""

    def each(self, node: ast.Node, of: Typed, names: Names, *, is_condition: bool = False) -> tuple[Variable, Typed]:
        """Return the item of an array, and what a node means for it: an expression over its fields, or a lambda of one parameter."""

    def refuse(self, message: str, at: int) -> None:
        """Note a mistake behind which the check can go on."""


def meaning(node: ast.Name, names: Names) -> Typed:
    """Return what a name means. Raises Refused for an unknown one."""
    if node.name in names.known:
        return names.known[node.name]
    item = names.items[-1]
    if isinstance(item.type, ObjectOf) and item.type.property_type(node.name) is None:
        raise _unknown(node, item.type, names)
    if not isinstance(item.type, ObjectOf) and item.type is not Scalar.UNKNOWN:
        raise Refused(
            f"There is no variable `{node.name}` here, and the items are no objects: each is {described(item.type)}, called `this`.",
            node.at,
            tuple(similar_names(node.name, names.known)),
        )
    return field_of(item, node.name, node.at)


def field_of(of: Typed, name: str, at: int) -> Typed:
    """Return the field of an object, or of each object of an array. Raises Refused where there is none."""
    match of.type:
        case Scalar.UNKNOWN:
            return MISSING
        case ObjectOf() as kind:
            found = kind.property_type(name)
            if found is None:
                raise Refused(_no_field(name, kind), at, _suggestions(name, kind))
            if isinstance(kind, ComputedFields):
                return _computed(of, name, kind, at)
            return Read(found, of.of, (*of.path, name)) if isinstance(of, Read) else Read(found, of, (name,))
        case ArrayOf(inner):
            if isinstance(of, Mapped) and of.is_spread and _leads_to_computed(inner, name):
                array, item, value = of.of, of.item, field_of(of.value, name, at)
            else:
                array, item = of, Variable(inner, path_of(of))
                value = field_of(item, name, at)
            flat = value.type.item if isinstance(value.type, ArrayOf) else value.type
            return Mapped(ArrayOf(flat), array, item, value, is_spread=True)
        case MapOf():
            raise Refused(f'A map has no fields. The value under a key is `.get("{name}")`.', at)
        case kind:
            raise Refused(
                f"There is no field `{name}` below {described(kind)}; a function has parentheses, as in `.isNull()`.",
                at,
            )


def has_field(kind: Type, name: str) -> bool:
    """Return whether an object, or each object of an array, has a field of this name; a map, and what is not known, may have any."""
    while isinstance(kind, ArrayOf):
        kind = kind.item
    if isinstance(kind, ObjectOf):
        return kind.property_type(name) is not None
    return isinstance(kind, MapOf) or kind is Scalar.UNKNOWN


def _computed(of: Typed, name: str, kind: ComputedFields, at: int) -> Typed:
    """Return a computed field of the record that an object of such fields stands in. Raises Refused where no such record is around it."""
    path = of.path if isinstance(of, Read) else ()
    above, below = path[:-_COMPUTED_DEPTH], path[-_COMPUTED_DEPTH:]
    whole = of.of if isinstance(of, Read) else of
    record = Read(_type_at(whole.type, above), whole, above) if above else whole
    is_record = isinstance(record.type, ObjectOf) and bool(record.type.schema)
    if len(below) < _COMPUTED_DEPTH or not is_record or _type_at(record.type, below) is not kind:
        raise Refused(
            "A computed attribute of an event is read of the event, as in `E._tenant.ComputedAttributes.name`.", at
        )
    expression, window = kind.expressions[name], kind.windows.get(name)
    return Computed(expression.body.type, record, (*below, name), expression.input, expression.body, window)


def _type_at(kind: Type, path: Path) -> Type:
    """Return the type at a path through objects; UNKNOWN where there is none."""
    for step in path:
        kind = (isinstance(kind, ObjectOf) and kind.property_type(step)) or Scalar.UNKNOWN
    return kind


def _leads_to_computed(kind: Type, name: str) -> bool:
    """Return whether a field of an object is computed of the record around it, or is an object of such fields."""
    return isinstance(kind, ComputedFields) or isinstance(_type_at(kind, (name,)), ComputedFields)


def item_type(of: Typed) -> Type:
    """Return the type of the items of an array; UNKNOWN of what is no array, because of a mistake."""
    return of.type.item if isinstance(of.type, ArrayOf) else Scalar.UNKNOWN


def value_type(of: Typed) -> Type:
    """Return the type of the values of a map; UNKNOWN of what is no map, because of a mistake."""
    return of.type.value if isinstance(of.type, MapOf) else Scalar.UNKNOWN


def item_of(of: Typed) -> Variable:
    """Return a variable for the items of an array."""
    return Variable(item_type(of), path_of(of))


# ------------------------------------------------------------------------------------------------ mistakes


def functions_like(name: str, spellings: Sequence[str]) -> tuple[str, ...]:
    """Return the functions that may have been meant by a name which none has."""
    meant = _FUNCTIONS_ELSEWHERE.get(name.lower())
    return (meant,) if meant else tuple(similar_names(name, spellings))


def _unknown(node: ast.Name, kind: ObjectOf, names: Names) -> Refused:
    """Return the mistake of an unknown name in an object of this type."""
    name = node.name
    if name.lower() in _ELSEWHERE:
        return Refused(
            f"There is no `{name}`. Whether a value is there is asked by {_ELSEWHERE[name.lower()]} and `.isNotNull()`.",
            node.at,
        )
    for levels, outer in enumerate(reversed(names.items[:-1]), start=1):
        if isinstance(outer.type, ObjectOf) and outer.type.property_type(name) is not None:
            hat = "^" * levels
            return Refused(
                f"There is no field `{name}` in the items; `{hat}{name}` is that of what is around them.",
                node.at,
                (f"{hat}{name}",),
            )
    near = (tuple(similar_names(name, names.known)) + _suggestions(name, kind))[:_MAX_SUGGESTIONS]
    hint = (
        ""
        if near
        else f' A string stands in double quotes, `"{name}"`; a variable is named first, as in `exists {name} from xEvent where …`.'
    )
    return Refused(f"{_no_field(name, kind)}{hint}", node.at, near)


def _no_field(name: str, kind: ObjectOf) -> str:
    hint = "" if kind.names else " There are no fields in it at all."
    return f"There is no field `{name}` here.{hint}"


def _suggestions(name: str, kind: ObjectOf) -> tuple[str, ...]:
    """Return names like this one in an object; else where fields of exactly this name stand below it."""
    near = similar_names(name, kind.names)
    return tuple(near or sorted(_below(name, kind.schema, ()), key=lambda path: (len(path), path))[:_MAX_SUGGESTIONS])


def _below(name: str, schema: Mapping[str, Field], path: tuple[str, ...]) -> Iterator[str]:
    """Yield the paths through objects of fields with this name, those of the first level left out."""
    for key, child in schema.items():
        if child["meta:xdmType"] == "object" and len(path) < _MAX_LEVELS:
            if name in child["properties"]:
                yield ".".join((*path, key, name))
            yield from _below(name, child["properties"], (*path, key))
