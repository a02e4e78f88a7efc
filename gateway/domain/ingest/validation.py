"""Validation of documents before any transaction, against their schema and the rules for identities.

A document that breaks rules becomes a `DocumentProblem` with its index and the violations; the others are stored. Rules beyond those of the
schema, which are looked at once it fits the schema: at most 20 identities, values of at most 1,024 characters, an ECID of 38 digits, registered namespaces, exactly one primary
identity, records of at most 100 kB and events of at most 10 kB. Placeholder values (`null`, `0`, `guest` …) are left out, with a warning.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.datasets import Dataset
from gateway.domain.config.namespaces import Namespace
from gateway.domain.facts.documents import (
    MAX_EVENT_TYPE_CHARACTERS,
    DocumentProblem,
    NamedIdentity,
    ValidDocument,
    last_updated,
    warning,
)
from gateway.domain.ingest.refusals import at_places, keyed_xids, places_of, storable, unknown_keys
from gateway.domain.rules.graphs import IdentityType, xid_of, xids_in
from gateway.domain.rules.merge import Document
from gateway.domain.rules.normalization import RULES, IdentityNormalization, is_international
from gateway.domain.rules.scope import Sandbox
from gateway.domain.rules.versions import Mode
from gateway.errors import Misconfigured
from gateway.xdm.classes import XdmClass
from gateway.xdm.leaves import changed_leaves, instant
from gateway.xdm.validation import MAX_VIOLATIONS, first_of
from gateway.xdm.violations import MAX_DOCUMENT_DEPTH, OUT_OF_RANGE, Violation, ViolationCode, path_of, unreadable

MAX_IDENTITIES = 20
MAX_EVENT_ID_CHARACTERS = 512  # characters of an `_id`, which is part of a key
_INDEXED = (("_id", MAX_EVENT_ID_CHARACTERS), ("eventType", MAX_EVENT_TYPE_CHARACTERS))
MAX_DOCUMENT_BYTES: Mapping[XdmClass, int] = {XdmClass.INDIVIDUAL_PROFILE: 100_000, XdmClass.EXPERIENCE_EVENT: 10_000}


class StatedIdentity(NamedTuple):
    """An identity as a document states it, not yet checked: in the field at a path, or at a place in its namespace's list in identityMap."""

    code: str
    value: str
    is_primary: bool
    field: str | None
    place: int

    @property
    def path(self) -> str:
        """The JSON path of the value in the document."""
        return f"$.{self.field}" if self.field else path_of(["identityMap", self.code, self.place, "id"])


class InvalidDocument(Exception):
    """A document breaks these rules, one or more."""

    def __init__(self, *violations: Violation) -> None:
        super().__init__(violations[0].message)
        self.violations = violations


def invalid(path: str, code: ViolationCode, message: str) -> InvalidDocument:
    """Return the error of a document that breaks one rule."""
    return InvalidDocument(Violation(path, code, message))


class Reader:
    """A reader of the documents of one dataset, which collects their `failures` and `warnings`. Events from before `oldest` fail."""

    def __init__(
        self,
        config: Configuration,
        sandbox: Sandbox,
        dataset: Dataset,
        mode: Mode = Mode.REPLACE,
        oldest: datetime | None = None,
    ) -> None:
        schema = config.schemas[dataset.schema_id]
        self._config, self._sandbox, self._rules = config, sandbox, RULES[sandbox.text_rules]
        self.xdm_class = schema.xdm_class
        self._are_events = schema.xdm_class is XdmClass.EXPERIENCE_EVENT
        self._max_bytes = MAX_DOCUMENT_BYTES[schema.xdm_class]
        self._partial = mode is not Mode.REPLACE
        self._oldest, self._retention = oldest, dataset.event_retention_days
        self._validator = config.validator(schema.schema_id)
        self._form = self._validator.form
        self._simple = _SimpleIdentities(config, sandbox)
        self._descriptors = [(d.path, d.path.split("."), d.namespace_code, d.is_primary) for d in schema.identities]
        self._is_ranked = self._are_events and bool(config.rules.priority)
        self._has_primary = any(descriptor.is_primary for descriptor in schema.identities)
        self._places = places_of(steps for _, steps, _, _ in self._descriptors)
        self.failures: list[DocumentProblem] = []
        self.warnings: list[DocumentProblem] = []

    def read(self, index: int, document: Any) -> ValidDocument | None:
        """Check a document, a JSON value or the bytes of a JSON text. Return None, and add to `failures`, if it is invalid. `index` counts from 0."""
        try:
            text = document if isinstance(document, bytes) else _dumped(document)
            if len(text) > self._max_bytes:  # before it is parsed: a line may be anything
                raise self._too_large()
            given = _parsed(text) if text is document else document
            if not self._validator.is_valid(given, partial=self._partial):
                raise self._unfit(given)
            return self._valid(index, given, text if text is not document else None)
        except InvalidDocument as refused:
            self.failures.append(self._refusal(index, document, refused))
            return None

    def _valid(self, index: int, given: Document, text: bytes | None) -> ValidDocument:
        """Make the stored form of a schema-valid document. `text`: its JSON, if it came as a value.

        A document that came as text is serialized again: the last of equal keys counts, and numbers are those that Postgres can store.
        """
        body = self._form(given)
        if text is None or body is not given:
            text = _dumped(body)
        read = body if self._rules.has_whole_numbers else given
        identities, doubts = self._simple_identities(read), list[Violation]()
        if identities is None:
            identities = self._identities(read, doubts)
        xid, tied = identities[0].xid, linked_xids(identities)
        at = self._observed_at(given if self._are_events else body)  # events are ordered to the microsecond
        as_sent = None
        if body is not given and not self._are_events:
            as_sent = orjson.dumps(dict(changed_leaves(given, body))).decode()
        valid = ValidDocument(index, xid, text.decode(), body, identities, tied, at, as_sent)
        self.warnings += [warning(valid, doubt) for doubt in doubts]
        return valid

    def _refusal(self, index: int, document: Any, refused: InvalidDocument) -> DocumentProblem:
        """Return the problem of a refused document, which is kept with it only if it is found by every identity that it names."""
        try:
            given = orjson.loads(document) if isinstance(document, bytes) else document
        except orjson.JSONDecodeError:
            return DocumentProblem(index, refused.violations)
        xids, keys = self._xids_in(given), unknown_keys(refused.violations, self._validator.names)
        keyed = keyed_xids(self._config, self._sandbox, keys)
        return DocumentProblem(index, refused.violations, storable(given) if xids else None, xids, keyed)

    def _xids_in(self, given: Any) -> tuple[UUID, ...]:
        """Return the xids of all identities that a refused document names, each once; none if one cannot be read, or there are too many."""
        named = at_places(given, self._places)
        faults = self._validator.violations(named, partial=self._partial)
        if len(faults) == MAX_VIOLATIONS or any(fault.code is not ViolationCode.REQUIRED for fault in faults):
            return ()
        read = self._form(named) if self._rules.has_whole_numbers else named
        stated = [*self._described(read), *_mapped(read)]
        if len(stated) > MAX_IDENTITIES:
            return ()
        real = [identity for identity in stated if not self._rules.is_placeholder(identity.value)]
        try:
            return tuple({to_identity(self._config, self._sandbox, identity).xid: None for identity in real})
        except InvalidDocument:
            return ()

    def _too_large(self) -> InvalidDocument:
        message = f"The document has more than {self._max_bytes:,} bytes, the most that is allowed."
        return invalid("$", ViolationCode.SIZE, message)

    def _unfit(self, given: Any) -> InvalidDocument:
        return InvalidDocument(*self._validator.violations(given, partial=self._partial))

    def _observed_at(self, body: Document) -> datetime | None:
        if self._are_events:
            for name, most in _INDEXED:
                if len(body.get(name, "")) > most:
                    message = f"An event's {name} has at most {most} characters."
                    raise invalid(f"$.{name}", ViolationCode.LENGTH, message)
            at = instant(body["timestamp"])
            if self._oldest is not None and at < self._oldest:
                message = f"The event is older than the {self._retention:,} d for which its dataset keeps events."
                raise invalid("$.timestamp", ViolationCode.EXPIRED, message)
            return at
        return last_updated(body)

    # -------------------------------------------------------------------------------------------- identities

    def _simple_identities(self, body: Document) -> tuple[NamedIdentity, ...] | None:
        """Return what `_identities` returns, faster, for a document without problems, as most are; None for any other."""
        named, marked, simple = list[NamedIdentity](), list[NamedIdentity](), self._simple
        for identity in self._described(body) if self._descriptors else ():
            if (each := simple[identity.code](identity.value)) is None:
                return None
            named.append(each)
            if identity.is_primary:
                marked.append(each)
        for code, items in (body.get("identityMap") or {}).items():
            make = simple[code]
            for item in items or ():
                if (each := make(item.get("id", ""))) is None or len(named) >= MAX_IDENTITIES:
                    return None
                named.append(each)
                if item.get("primary"):
                    marked.append(each)
        return self._ordered(named, marked)

    def _ordered(
        self, named: Sequence[NamedIdentity], marked: Sequence[NamedIdentity]
    ) -> tuple[NamedIdentity, ...] | None:
        """Order the identities, the primary one first; None if several or none are marked as primary."""
        first = highest_ranked(named, marked) if self._is_ranked else None
        if first is None:
            if len(marked) != 1:
                return None
            first = marked[0]
        return (first,) if len(named) == 1 else primary_first(named, first)

    def _identities(self, body: Document, doubts: list[Violation]) -> tuple[NamedIdentity, ...]:
        """List the identities of a document, the primary one first; add to `doubts` what to warn of. Raises InvalidDocument."""
        stated = [*self._described(body), *_mapped(body)]
        if len(stated) > MAX_IDENTITIES:
            raise invalid(
                "$",
                ViolationCode.IDENTITY_COUNT,
                f"A document names at most {MAX_IDENTITIES} identities, not {len(stated)}.",
            )
        is_placeholder = self._rules.is_placeholder
        placeholders = [identity for identity in stated if is_placeholder(identity.value)]
        if placeholders:
            doubts += [Violation(each.path, ViolationCode.IDENTITY_PLACEHOLDER, _PLACEHOLDER) for each in placeholders]
            stated = [identity for identity in stated if identity not in placeholders]
        named, faults = list[NamedIdentity](), list[Violation]()
        for identity in stated:
            try:
                each = to_identity(self._config, self._sandbox, identity)
            except InvalidDocument as refused:
                faults += refused.violations
                continue
            named.append(each)
            if each.namespace.normalization is _E164 and not is_international(each.value):
                doubts.append(Violation(identity.path, ViolationCode.IDENTITY_E164, _NOT_E164.format(identity.code)))
        if faults:
            raise InvalidDocument(*faults)
        marked = [each for identity, each in zip(stated, named, strict=True) if identity.is_primary]
        first = highest_ranked(named, marked) if self._is_ranked else None
        place = self._primary_place(stated, placeholders) if first is None else named.index(first)
        check_primary(stated[place], named[place].namespace)
        return primary_first(named, named[place])

    def named(self, body: Document) -> frozenset[UUID]:
        """Return the xids of all identities that a stored document names; none if it is invalid by today's rules."""
        try:
            return frozenset(named.xid for named in self._identities(body, []))
        except InvalidDocument:
            return frozenset()

    def stated(self, body: Document) -> Iterator[tuple[UUID, StatedIdentity]]:
        """Yield the identities that a document states, each wherever it stands, with its xid; none that cannot exist by today's rules."""
        for identity in (*self._described(body), *_mapped(body)):
            if self._rules.is_placeholder(identity.value):
                continue
            is_number = identity.field and not self._rules.has_whole_numbers and identity.value.lstrip("-").isdecimal()
            for value in (identity.value, *([str(float(identity.value))] if is_number else ())):  # as it may have come
                with suppress(InvalidDocument):
                    yield to_identity(self._config, self._sandbox, identity._replace(value=value)).xid, identity

    def _described(self, body: Document) -> Iterator[StatedIdentity]:
        """Yield the identities in the fields of the schema's identity descriptors."""
        for path, steps, code, is_primary in self._descriptors:
            value = _value_at(body, steps)
            if value is not None:
                yield StatedIdentity(code, str(value), is_primary, path, 0)

    def _primary_place(self, stated: Sequence[StatedIdentity], placeholders: Sequence[StatedIdentity]) -> int:
        """Return the place of the primary identity among those stated. Raises InvalidDocument.

        For a record it is the schema's primary identity, else the one marked in identityMap; for an event the other way round. A sole identity
        needs no mark unless the schema has a primary one.
        """
        for identity in placeholders:
            if identity.is_primary:
                message = "The primary identity names nobody: its value is a placeholder, such as null or guest."
                raise invalid(identity.path, ViolationCode.IDENTITY_PLACEHOLDER, message)
        marked = [place for place, identity in enumerate(stated) if identity.is_primary]
        if len(marked) > 1:
            marked = self._preferred(stated, marked)
        if len(marked) == 1:
            return marked[0]
        if placeholders and not stated:
            message = "This value names nobody, and the document has no other identity."
            raise invalid(placeholders[0].path, ViolationCode.IDENTITY_PLACEHOLDER, message)
        if marked:
            raise invalid(
                stated[marked[1]].path, ViolationCode.IDENTITY_PRIMARY, "Only one identity can be marked as primary."
            )
        if len(stated) == 1 and not self._has_primary:
            return 0
        raise self._missing(stated)

    def _preferred(self, stated: Sequence[StatedIdentity], marked: Sequence[int]) -> list[int]:
        """Select the places marked in identityMap for events, those in fields for records; all if there are none."""
        by_map = self._are_events
        preferred = [place for place in marked if (stated[place].field is None) is by_map]
        return preferred or list(marked)

    def _missing(self, stated: Sequence[StatedIdentity]) -> InvalidDocument:
        for path, _, _, is_primary in self._descriptors:
            if is_primary:
                return invalid(f"$.{path}", ViolationCode.IDENTITY_MISSING, f"The primary identity {path} is missing.")
        if stated:
            message = "No identity is marked as primary: true, and there are several."
        else:
            message = "The document names no identity, so nobody knows whom it is about."
        return invalid(_MAP, ViolationCode.IDENTITY_MISSING, message)


def to_identity(config: Configuration, sandbox: Sandbox, identity: StatedIdentity) -> NamedIdentity:
    """Check a stated identity, whose value is no placeholder, and normalize its value. Raises InvalidDocument."""
    try:
        namespace = config.namespace(identity.code)
    except Misconfigured as error:
        raise invalid(identity.path, ViolationCode.IDENTITY_NAMESPACE, error.message) from error
    if namespace is None:
        raise invalid(identity.path, ViolationCode.IDENTITY_NAMESPACE, config.unknown_namespace(identity.code))
    value = RULES[sandbox.text_rules].forms[namespace.normalization](identity.value)
    if (fault := namespace.fault(value)) is not None:
        raise invalid(identity.path, ViolationCode.IDENTITY_VALUE, fault)
    return NamedIdentity(xid_of(sandbox.secret, namespace.namespace_id, value), namespace, value)


class _SimpleIdentities(dict[str, Callable[[str], NamedIdentity | None]]):
    """Functions by namespace code that make an identity of a value, and return None for one that needs an error or a warning."""

    def __init__(self, config: Configuration, sandbox: Sandbox) -> None:
        super().__init__()
        self._config, self._sandbox, self._rules = config, sandbox, RULES[sandbox.text_rules]

    def __missing__(self, code: str) -> Callable[[str], NamedIdentity | None]:
        try:
            namespace = self._config.namespace(code)
        except Misconfigured:
            namespace = None
        if namespace is None or namespace.type is IdentityType.NON_PEOPLE:
            return lambda _: None
        self[code] = identity = self._of(namespace)
        return identity

    def _of(self, namespace: Namespace) -> Callable[[str], NamedIdentity | None]:
        is_placeholder, form = self._rules.is_placeholder, self._rules.forms[namespace.normalization]
        xid, is_number = xids_in(self._sandbox.secret, namespace.namespace_id), namespace.normalization is _E164

        def identity(value: str) -> NamedIdentity | None:
            if is_placeholder(value):
                return None
            value = form(value)
            if namespace.fault(value) is not None or (is_number and not is_international(value)):
                return None
            return NamedIdentity(xid(value), namespace, value)

        return identity


def check_primary(identity: StatedIdentity, namespace: Namespace) -> None:
    """Check that the primary identity's namespace names people. Raises InvalidDocument."""
    if namespace.type is IdentityType.NON_PEOPLE:
        message = f"{namespace.code} is of type NON_PEOPLE, so it cannot be the primary identity: name the person."
        raise invalid(identity.path, ViolationCode.IDENTITY_PRIMARY, message)


def highest_ranked(named: Sequence[NamedIdentity], marked: Collection[NamedIdentity]) -> NamedIdentity | None:
    """Return the identity whose namespace has the highest priority in the identity settings; None if no namespace has one.

    Of several identities in that namespace, prefer one that is `marked` as primary, then the smallest xid.
    """
    listed = [
        (each.namespace.priority, each not in marked, each.xid, each)
        for each in named
        if each.namespace.priority is not None
    ]
    return min(listed)[-1] if listed else None


def primary_first(named: Iterable[NamedIdentity], first: NamedIdentity) -> tuple[NamedIdentity, ...]:
    """Return `first`, then the other identities in their order, each once; leave out others whose namespace is NON_PEOPLE."""
    others = {n.xid: n for n in named if n.namespace.type is not IdentityType.NON_PEOPLE}
    return tuple(({first.xid: first} | others).values())


_MAP = "$.identityMap"
_PLACEHOLDER = "This value names nobody, so it links nobody; leave such an identity out."
_NOT_E164 = "{} has no number of the form + and 8 to 15 digits here: it is compared as it was sent."
_E164 = IdentityNormalization.E164


def _mapped(body: Document) -> Iterator[StatedIdentity]:
    for code, items in (body.get("identityMap") or {}).items():
        for place, item in enumerate(items or ()):
            yield StatedIdentity(code, item.get("id", ""), item.get("primary", False), None, place)


def linked_xids(identities: Sequence[NamedIdentity]) -> tuple[UUID, ...]:
    """Return the sorted xids that a document ties by naming these identities: all not of a NON_PEOPLE namespace. One xid makes no tie."""
    if len(identities) < 2:
        return ()
    return tuple(sorted([named.xid for named in identities if named.namespace.type is not IdentityType.NON_PEOPLE]))


def _value_at(body: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        if not isinstance(body, dict):
            return None
        body = body.get(step)
    return body


def _parsed(text: bytes) -> Any:
    """Parse a JSON text. Raises InvalidDocument, also for JSON with values that cannot be stored."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        code, message = _UNREADABLE.get(error.msg, (ViolationCode.JSON, f"This is no JSON: {error.msg}"))
        raise invalid("$", code, f"{message} (column {error.colno}).") from error


_UNREADABLE: Mapping[str, tuple[ViolationCode, str]] = {
    "number is infinity when parsed as double": (ViolationCode.RANGE, OUT_OF_RANGE),
    "depth limit exceeded": (ViolationCode.DEPTH, f"Documents nest up to {MAX_DOCUMENT_DEPTH} levels"),
    **dict.fromkeys(
        ("no low surrogate in string", "invalid low surrogate in string", "invalid high surrogate in string"),
        (ViolationCode.CHARACTER, "The text holds half of a surrogate pair, which is no character"),
    ),
}
"""The code and message of a parser's error about valid JSON that cannot be stored."""


def _dumped(document: Any) -> bytes:
    """Serialize a document to JSON that Postgres can store. Raises InvalidDocument."""
    try:
        return orjson.dumps(document)
    except TypeError as error:
        faults = first_of(unreadable(document))
        unknown = Violation("$", ViolationCode.JSON, "The document holds a value that JSON cannot carry.")
        raise InvalidDocument(*faults or [unknown]) from error


def future_times(documents: Iterable[ValidDocument], now: datetime) -> list[DocumentProblem]:
    """Warn of each document whose time lies in the future: it counts as of `now`."""
    return [_future_time(each) for each in documents if each.observed_at is not None and each.observed_at > now]


def _future_time(document: ValidDocument) -> DocumentProblem:
    path = "$.timestamp" if "timestamp" in document.body else "$.extSourceSystemAudit.lastUpdatedDate"
    message = "It lies in the future, so it counts as the time of ingestion; look for a wrong clock or time zone."
    return warning(document, Violation(path, ViolationCode.FUTURE_TIME, message))
