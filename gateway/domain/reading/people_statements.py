"""The statements that read people by a projection, one by keys, one for texts by keys, one by page, put together of named parts."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from gateway.domain.reading.computed_partials import IS_KNOWN
from gateway.domain.reading.events import LISTS, OF_DATASET
from gateway.domain.reading.identities import IDENTITY
from gateway.domain.reading.person_values import Computable, sources_of, values_part
from gateway.domain.reading.profile_limits import DOCUMENT_SIZE, EVENTS
from gateway.domain.reading.statements import Made, Statements
from gateway.domain.rules.graphs import MAX_GRAPH_SIZE
from gateway.projection.predicates import Predicate, Slot, Values
from gateway.projection.sql import Relation, Source, columns
from gateway.projection.tree import Projection
from gateway.storage.queries import Template, fill, part, template

READ = template("people.read_people")
READ_TEXTS = template("people.read_texts")
LIST = template("people.list_people")

PolicyVersion = tuple[UUID | None, int]
"""A version of a policy that keeps profiles merged. What another version keeps is not given as its own, so that a read that began
before the policy changed does not mix the two."""

NO_POLICY: Final[PolicyVersion] = (None, 0)

PERSON, ORIGIN, DOCUMENT = "person", "origin", "document"
"""What may be read of people as it is: their graph; where the profile that a policy keeps is from, without its document; and with it."""

WHOLE: Final = Projection((), frozenset({PERSON, DOCUMENT}))
"""Everything of people."""

_KEYS, _IS_CURRENT = part("people.keys"), part("people.is_current")
_IS_COMPUTED, _TEXT_IF_COMPUTED = part("people.is_computed"), part("people.text_if_computed")
_JOINED: Final = {
    "graph": (re.compile(r"\bg\."), part("people.graph")),
    "profile": (re.compile(r"\b(p|kept)\."), part("people.profile")),
    "size": (
        re.compile(r"\bsize\."),
        fill(part("people.size"), identities=str(MAX_GRAPH_SIZE), events=str(EVENTS), bytes=str(DOCUMENT_SIZE)),
    ),
}
"""What statements join by what their columns name."""

_SOURCE: Final = Source(
    "person",
    "kept.document",
    {"identityMap": "g.identity_map"},
    "g.event_xids",
    LISTS,
    related={
        "identities": Relation(partial(fill, part("people.members")), IDENTITY, order="member.place"),
        "sources": Relation(partial(fill, part("people.sources")), OF_DATASET.source, order='d.name collate "C"'),
    },
    derived={
        "identity_count": "g.size",
        "event_count": "size.event_count",
        "exceeded": "size.exceeded",
        "modified_at": part("people.modified_at"),
    },
)
_IDENTITY_COLUMNS = "person.xid, person.namespace_id, person.value, person.profile_id"
RAW: Final = {
    PERSON: ("g.xids", "g.event_xids", "g.identity_map", "g.size", "g.is_contested"),
    ORIGIN: ("kept.unread_document", "p.sources", "p.modified_at"),
    DOCUMENT: ("p.document", "p.sources", "p.modified_at"),
}


class Way(NamedTuple):
    """How a statement reads people: what this version of a policy keeps of them, how much of that, and which values are `computed` in it."""

    policy: PolicyVersion
    projection: Projection = WHOLE
    computed: Computable | None = None


def statement_of(
    projection: Projection,
    query: Template,
    direction: str = "",
    kinds: Sequence[str] = (),
    computed: Computable | None = None,
    *,
    events: Iterable[Predicate] = (),
) -> Made:
    """Return a statement on people that reads a projection, and the values behind its own parameters. `events`: conditions on events, where it counts such.

    With `kinds`, the types of all slots, each stands for an array of values, one for each key. `computed`: the attributes whose values are in it.
    """
    own_values = [None] * len(query.parameters)
    values = Values(*own_values, *map(Slot, range(len(kinds))), slots="asked.value_{}" if kinds else "")
    arrays = [f", ${place}::{kind}[]" for place, kind in enumerate(kinds, len(own_values) + 1)]
    names = [f", value_{place}" for place in range(len(kinds))]
    source = _SOURCE if computed is None else replace(_SOURCE, computed=sources_of(computed))
    texts = columns(projection.parts, source, values)
    raw = [column for name in raw_of(projection) for column in RAW[name]]
    looked_at = ", ".join([*raw, *texts])
    joined = _joined(looked_at, "" if computed is None else _computed(computed, values, looked_at))
    is_current = _IS_CURRENT if joined["profile"] else "true"
    if computed is not None:
        is_known = fill(IS_KNOWN, version=values.bind(computed.version))
        if query is READ_TEXTS:
            is_current, texts = f"{is_current} and {is_known}", [fill(_TEXT_IF_COMPUTED, text=text) for text in texts]
        else:
            is_current = fill(_IS_COMPUTED, is_current=is_current, is_known=is_known)
    own = "person.profile_id" if query is LIST else _IDENTITY_COLUMNS
    gaps = {
        "columns": ", ".join([is_current, own, *raw, *texts]),
        "is_current": is_current,
        "text": texts[0] if texts else "null",
        "modified_at": part("people.modified_at"),
        "keys": fill(_KEYS, arrays="".join(arrays), names="".join(names)),
        "direction": direction,
        "events": values.conditions(events),
    }
    return Made.of(query.filled(**gaps, **joined), values, len(query.parameters))


STATEMENTS: Final = Statements(statement_of)
"""By the projection and all that follows it among the arguments."""


def _computed(computed: Computable, values: Values, looked_at: str) -> str:
    """Return the part that computes values; those of its parameters are added."""
    made = values_part(computed, len(values.given), looked_at)
    values.given += made.values
    return made.sql


def _joined(looked_at: str, computed: str) -> dict[str, str]:
    """Return the parts that are joined for columns of this SQL. A text in it that looks like a name joins one too many, at most."""
    found, looked_at = {"computed": computed}, looked_at + computed
    for name, (named, sql) in reversed(_JOINED.items()):
        found[name] = sql if named.search(looked_at) else ""
        looked_at += found[name]
    more = (found["profile"], found["size"], found["computed"])
    return {"graph": found["graph"], "profile": " ".join(filter(None, more))}


def raw_of(projection: Projection) -> tuple[str, ...]:
    """Return which raw columns are read, in the order of rows: those of the document have its origin, too."""
    kept = DOCUMENT if DOCUMENT in projection.raw else ORIGIN
    return tuple(name for name in (PERSON, kept) if name in projection.raw)
