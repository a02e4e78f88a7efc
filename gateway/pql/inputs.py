"""What an expression is over, in SQL: a document of the store, the fields of it that stand in columns, and a person's events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.pql.rows import Rows
from gateway.pql.types import ArrayOf, ObjectOf, Type
from gateway.pql.values import Value, as_json, quoted, sql_type

TIMESTAMP: Final = "timestamp"
"""The field of an event that stands in a column of its own."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """SQL of what an expression is over.

    `document` is jsonb; `fields` are those of its fields that stand elsewhere. `now` is the instant of evaluation: without one, it becomes a
    parameter, whose value is NOW. `parameters` is how many parameters the statement around it has, and the first one is the sandbox. A
    profile has the events of `xids`, an array; with `since`, those from that time up to `now`. `computed` is SQL, as jsonb, of the values of
    computed fields that the statement has, by name.
    """

    document: str
    now: str | None = None
    parameters: int = 1
    xids: str = "'{}'::uuid[]"
    since: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)


def event_inputs(alias: str, parameters: int = 1) -> Inputs:
    """Return the inputs of an expression over one event of the store, which has this name in a statement of so many parameters."""
    return Inputs(f"{alias}.document", parameters=parameters, fields={TIMESTAMP: f"{alias}.{TIMESTAMP}"})


def record(kind: Type, inputs: Inputs) -> Value:
    """Return a document of the store with those of its fields that stand elsewhere."""
    types = {name: kind.property_type(name) for name in inputs.fields} if isinstance(kind, ObjectOf) else {}
    columns = {
        name: Value(of, f"{inputs.fields[name]}::{sql_type(of)}", is_stored=True)
        for name, of in types.items()
        if of is not None
    }
    entries = ", ".join(f"{quoted(name)}, {as_json(value)}" for name, value in columns.items())
    whole = f"({inputs.document} || jsonb_build_object({entries}))" if entries else None
    return Value(kind, inputs.document, columns, whole, is_stored=True)


def event_rows(name: str, events: Type, inputs: Inputs) -> Rows:
    """Return the events of a person, the oldest first; the table has this name."""
    kind = events.item if isinstance(events, ArrayOf) else events
    conditions = [f"{name}.sandbox_id = $1", f"{name}.xid = any({inputs.xids})"]
    if inputs.since is not None:
        conditions.append(f"({name}.timestamp between {inputs.since} and {inputs.now})")
    order = tuple(f"{name}.{column}" for column in ("timestamp", "event_id", "xid", "dataset_id"))
    return Rows((f"gateway.event {name}",), record(kind, event_inputs(name)), order, tuple(conditions))
