"""Documents without some of the identities that they name: entries of identityMap and fields of identity descriptors are taken out."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import orjson

from gateway.domain.facts.documents import ValidDocument
from gateway.domain.ingest.validation import Reader, StatedIdentity, linked_xids
from gateway.domain.rules.merge import Document


def redact(reader: Reader, body: Document, xids: Collection[UUID]) -> tuple[Document, list[tuple[UUID, str]]]:
    """Return a document without these identities, and the xid and JSON path of each place where one stood.

    The given document stays as it is. Objects and lists that are left empty go, too; what is left need not fit the schema.
    """
    found = [(xid, identity) for xid, identity in reader.stated(body) if xid in xids]
    for field in {identity.field for _, identity in found if identity.field}:
        body = _without_field(body, field.split("."))
    mapped = [identity for _, identity in found if not identity.field]
    return _without_entries(body, mapped) if mapped else body, [(xid, identity.path) for xid, identity in found]


def redact_as_sent(as_sent: str | None, paths: Collection[str]) -> str | None:
    """Return the JSON of leaves as they were sent, by JSON pointer, without those at these JSON paths; None where none is left."""
    if as_sent is None:
        return None
    gone = {path.removeprefix("$").replace(".", "/") for path in paths}
    kept = {pointer: leaf for pointer, leaf in orjson.loads(as_sent).items() if pointer not in gone}
    return orjson.dumps(kept).decode() if kept else None


def without(
    reader: Reader, document: ValidDocument, xids: Collection[UUID]
) -> tuple[ValidDocument, Sequence[str]] | None:
    """Return the document without these identities, and the paths at which they stood; None where one is found at no path."""
    body, places = redact(reader, document.body, xids)
    if {xid for xid, _ in places} != set(xids):
        return None
    identities = tuple(named for named in document.identities if named.xid not in xids)
    paths = [path for _, path in places]
    text, tied, as_sent = orjson.dumps(body).decode(), linked_xids(identities), redact_as_sent(document.as_sent, paths)
    return document._replace(text=text, body=body, identities=identities, tied=tied, as_sent=as_sent), paths


def by_itself(reader: Reader, document: ValidDocument) -> ValidDocument:
    """Return a deletion without the identities beside its primary one: it makes no tie by which they would be found again."""
    if len(document.identities) < 2:
        return document
    rest = without(reader, document, {named.xid for named in document.identities[1:]})
    return document if rest is None else rest[0]


def _without_field(value: dict[str, Any], steps: Sequence[str]) -> dict[str, Any]:
    """Return an object without the value at these steps, and without the objects on the way that are left empty."""
    rest = {name: child for name, child in value.items() if name != steps[0]}
    child = _without_field(value[steps[0]], steps[1:]) if len(steps) > 1 else {}
    return {**value, steps[0]: child} if child else rest


def _without_entries(body: Document, identities: Collection[StatedIdentity]) -> Document:
    """Return a document without these entries of its identityMap."""
    places = {(identity.code, identity.place) for identity in identities}
    entries = dict[str, Any]()
    for code, items in body["identityMap"].items():
        kept = [item for place, item in enumerate(items or ()) if (code, place) not in places]
        if kept or not items:  # null, which removes, stays
            entries[code] = kept or items
    return (
        {**body, "identityMap": entries}
        if entries
        else {name: child for name, child in body.items() if name != "identityMap"}
    )
