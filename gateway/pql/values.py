"""Values in SQL: each type has one type of Postgres, and one way into JSON and out of it.

    boolean   boolean        string      text               array, map, object   jsonb
    long      numeric        date        date
    double    numeric        date-time   timestamptz

SQL NULL is a missing value. Every function uses the text of its argument once, so that SQL grows as an expression does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.pql.types import ArrayOf, Entry, MapOf, ObjectOf, Scalar, Type

SQL_TYPES: Final[Mapping[Scalar, str]] = {
    Scalar.BOOLEAN: "boolean",
    Scalar.STRING: "text",
    Scalar.LONG: "numeric",
    Scalar.DOUBLE: "numeric",
    Scalar.DATE: "date",
    Scalar.DATE_TIME: "timestamptz",
    Scalar.UNKNOWN: "text",
}

_BEYOND: Final = "$.** ? (@ >= $beyond || @ <= - $beyond)"
"""A number in JSON that is as large as a limit."""
_TIME_FORM: Final = 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'


@dataclass(frozen=True, slots=True)
class Value:
    """A value as SQL of the type that belongs to its own.

    `columns` are fields of an object that are read elsewhere than in `sql`; `whole` is then the object with them. `is_stored`: it is a
    part of a stored document, in which nothing is JSON null and each field has the type that the schema says.
    """

    type: Type
    sql: str
    columns: Mapping[str, "Value"] = field(default_factory=dict)
    whole: str | None = None
    is_stored: bool = False


def sql_type(kind: Type) -> str:
    """Return the type of Postgres that values of a type have."""
    return SQL_TYPES[kind] if isinstance(kind, Scalar) else "jsonb"


def missing(kind: Type) -> str:
    """Return SQL of a missing value of a type."""
    return f"null::{sql_type(kind)}"


def as_json(value: Value) -> str:
    """Return SQL of a value as jsonb."""
    match value.type:
        case Scalar.DATE:
            return f"to_jsonb({as_text(value)})"
        case Scalar.DATE_TIME:
            return f"to_jsonb(to_char({value.sql} at time zone 'UTC', '{_TIME_FORM}'))"
        case Scalar():
            return f"to_jsonb({value.sql})"
    return value.whole or value.sql


def as_text(value: Value) -> str:
    """Return SQL of a single value as the text that it is a key of a map by."""
    match value.type:
        case Scalar.DATE:
            return f"to_char({value.sql}, 'YYYY-MM-DD')"
        case Scalar.LONG | Scalar.DOUBLE:
            return f"trim_scale({value.sql})::text"
    return f"({value.sql})::text"


def as_time(value: Value) -> str:
    """Return SQL of a date's start or of a date-time, as timestamptz."""
    if value.type is Scalar.DATE:
        return f"(({value.sql})::timestamp at time zone 'UTC')"
    return missing(Scalar.DATE_TIME) if value.type is Scalar.UNKNOWN else value.sql


def property_of(value: Value, path: tuple[str, ...], kind: Type) -> Value:
    """Return the value at a path through objects."""
    first, *rest = path
    if first in value.columns:
        return property_of(value.columns[first], tuple(rest), kind) if rest else value.columns[first]
    steps = "".join(f" -> {quoted(step)}" for step in path[:-1])
    sql = f"({value.sql}){steps} -> {quoted(path[-1])}"
    if not value.is_stored:
        return from_json(sql, kind)
    match kind:
        case Scalar.LONG | Scalar.DOUBLE | Scalar.BOOLEAN:
            return Value(kind, f"({sql})::{sql_type(kind)}")
        case Scalar.STRING:
            return Value(kind, f"(({value.sql}){steps} ->> {quoted(path[-1])})")
        case Scalar():
            return Value(kind, f"(({value.sql}){steps} ->> {quoted(path[-1])})::{sql_type(kind)}")
    return Value(kind, f"({sql})", is_stored=True)


def from_json(sql: str, kind: Type, *, is_stored: bool = False) -> Value:
    """Return the value of a type that SQL of jsonb holds; JSON null is missing."""
    match kind:
        case Scalar.STRING:
            return Value(kind, f"({sql} #>> '{{}}')")
        case Scalar.UNKNOWN:
            return Value(kind, missing(kind))
        case Scalar():
            return Value(kind, f"({sql} #>> '{{}}')::{sql_type(kind)}")
        case ArrayOf() | MapOf() | ObjectOf() | Entry():
            return Value(kind, f"({sql})" if is_stored else f"nullif({sql}, 'null')", is_stored=is_stored)


def limited(value: Value, beyond: str, name: str) -> Value:
    """Return a value that is missing where it, or a number in it, is as large as a limit, either way. `name` is free for a table."""
    match value.type:
        case Scalar.LONG | Scalar.DOUBLE:
            within = f"least(greatest({value.sql}, - {beyond}), {beyond})"
            return replace(value, sql=f"nullif(nullif({within}, {beyond}), - {beyond})")
        case Scalar():
            return value
    is_beyond = f"jsonb_path_exists({name}.v, '{_BEYOND}', jsonb_build_object('beyond', {beyond}))"
    return Value(value.type, f"(select {name}.v from (select {as_json(value)} as v) {name} where not {is_beyond})")


def quoted(text: str) -> str:
    """Return a text as a literal of SQL. Only names that the schema has, or the gateway itself, are written so."""
    return "'" + text.replace("'", "''") + "'"
