"""What an expression is over, in SQL: a document of the store, the fields of it that stand in columns, and a person's events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.pql.rows import Aside, Rows, Sought
from gateway.pql.types import ArrayOf, ObjectOf, Type
from gateway.pql.values import Value, as_json, quoted, sql_type

EVENT_COLUMNS: Final[Mapping[str, str]] = {"timestamp": "timestamp", "eventType": "event_type"}
"""Fields of an event, and the columns of `gateway.event` that they are read from."""
_COPIED: Final = frozenset({"eventType"})
"""Those of them that the document has just so; the time by which an event is ordered may be another than its document says."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """SQL of what an expression is over.

    `document` is jsonb, and may be the one `aside`. `fields` are those of its fields that stand elsewhere; of `copied` ones the document
    says the same. `now` is the instant of evaluation: without one, it becomes a parameter, whose value is NOW. `parameters` is how many
    parameters the statement around it has, and the first one is the sandbox. A profile has the events of `xids`, an array, or those of `events`,
    a subquery; with `since`, those from that time up to `now`; with `event`, the row of this name alone, beside which its document stands.
    `computed` is SQL, as jsonb, of the values of computed fields that the statement has, by name.
    """

    document: str
    now: str | None = None
    parameters: int = 1
    xids: str = "'{}'::uuid[]"
    since: str | None = None
    event: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    copied: frozenset[str] = frozenset()
    aside: Aside | None = None
    computed: Mapping[str, str] = field(default_factory=dict)
    events: str | None = None


def event_inputs(name: str) -> Inputs:
    """Return the inputs of an expression over one event of the store, which has this name in a statement.

    A large document is decompressed once for all fields that are read of it, and not at all if none is.
    """
    aside = document_of(name)
    fields = {path: f"{name}.{column}" for path, column in EVENT_COLUMNS.items()}
    return Inputs(f"{aside.name}.document", fields=fields, copied=_COPIED, aside=aside)


def with_document(aside: Aside | None, sql: str) -> str:
    """Return SQL of a value, with the document that it mentions."""
    return f"(select {sql} from {aside.sql})" if aside and aside.is_in(sql) else sql


def document_of(name: str) -> Aside:
    """Return the document of an event, whose row has this name in a statement."""
    return Aside(f"{name}d", f"lateral (select {name}.document #> '{{}}' as document offset 0) {name}d")


def record(kind: Type, inputs: Inputs) -> Value:
    """Return a document of the store with those of its fields that stand elsewhere."""
    types = {name: kind.property_type(name) for name in inputs.fields} if isinstance(kind, ObjectOf) else {}
    columns = {
        name: Value(of, f"{inputs.fields[name]}::{sql_type(of)}", is_stored=True)
        for name, of in types.items()
        if of is not None
    }
    added = [f"{quoted(name)}, {as_json(value)}" for name, value in columns.items() if name not in inputs.copied]
    whole = f"({inputs.document} || jsonb_build_object({', '.join(added)}))" if added else None
    return Value(kind, inputs.document, columns, whole, is_stored=True)


def event_rows(name: str, of: Type, inputs: Inputs) -> Rows:
    """Return the events of a person, the oldest first; the table has this name."""
    kind = of.item if isinstance(of, ArrayOf) else of
    name = inputs.event or name
    order = tuple(f"{name}.{column}" for column in ("timestamp", "event_id", "xid", "dataset_id"))
    if inputs.event is not None:
        return Rows((), record(kind, event_inputs(name)), order)
    stored = [f"{name}.sandbox_id = $1", f"{name}.xid = any({inputs.xids})"]
    conditions = stored if inputs.events is None else []
    if inputs.since is not None:
        conditions.append(f"({name}.timestamp between {inputs.since} and {inputs.now})")
    events = Sought(name, inputs.events or "gateway.event", document_of(name), tuple(conditions))
    return Rows((events,), record(kind, event_inputs(name)), order)
