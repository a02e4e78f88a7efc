"""Sent documents, before any transaction: checked against their schema and taken apart into who and what.

A document that breaks a rule becomes a `DocumentProblem` with its place, a code and a sentence; the others go on. Rules beyond the schema's:
at most 20 identities, values of at most 1,024 characters, an ECID of 38 digits, registered namespaces, exactly one
primary identity, records of at most 100 kB and events of at most 10 kB. A value that names nobody (`null`, `0`, `guest` …) links nobody.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.datasets import Dataset
from gateway.domain.config.namespaces import Namespace
from gateway.domain.facts.documents import DocumentProblem, NamedIdentity, ValidDocument, last_updated
from gateway.domain.rules.graphs import IdentityType, xid_of, xids_in
from gateway.domain.rules.merge import Document
from gateway.domain.rules.normalization import RULES, IdentityNormalization, is_international
from gateway.domain.rules.scope import Sandbox
from gateway.domain.rules.versions import Mode
from gateway.errors import Misconfigured
from gateway.xdm.classes import XdmClass
from gateway.xdm.leaves import changed_leaves, instant
from gateway.xdm.violations import MAX_DEPTH, OUT_OF_RANGE, is_readable, unreadable

MAX_IDENTITIES = 20
MAX_EVENT_ID = 512  # characters: it is part of a key
MAX_SIZE: Mapping[XdmClass, int] = {XdmClass.INDIVIDUAL_PROFILE: 100_000, XdmClass.EXPERIENCE_EVENT: 10_000}


class Claim(NamedTuple):
    """An identity as a document states it, before it is believed: at a field's path, or at a place in identityMap."""

    code: str
    value: str
    is_primary: bool
    field: str | None
    place: int

    @property
    def path(self) -> str:
        return f"$.{self.field}" if self.field else f"{_MAP}.{self.code}[{self.place}].id"


class InvalidDocument(Exception):
    """What cannot be used as it was sent: where, which rule it breaks, and a sentence."""

    def __init__(self, path: str, code: str, message: str) -> None:
        super().__init__(message)
        self.path, self.code, self.message = path, code, message


class Reader:
    """Reads the documents of one dataset. `failures` and `warnings` grow with what it meets."""

    def __init__(self, config: Configuration, sandbox: Sandbox, dataset: Dataset, mode: Mode = Mode.REPLACE) -> None:
        schema = config.schemas[dataset.schema_id]
        self._config, self._sandbox, self._rules = config, sandbox, RULES[sandbox.text_rules]
        self.xdm_class = schema.xdm_class
        self._are_events = schema.xdm_class is XdmClass.EXPERIENCE_EVENT
        self._most = MAX_SIZE[schema.xdm_class]
        self._partial = mode is not Mode.REPLACE
        self._validator = config.validator(schema.schema_id)
        self._form = self._validator.form
        self._plainly = _Plainly(config, sandbox)
        self._descriptors = [(d.path, d.path.split("."), d.namespace_code, d.is_primary) for d in schema.identities]
        self._is_ranked = self._are_events and bool(config.rules.priority)
        self._has_primary = any(descriptor.is_primary for descriptor in schema.identities)
        self.failures: list[DocumentProblem] = []
        self.warnings: list[DocumentProblem] = []

    def read(self, index: int, document: Any) -> ValidDocument | None:
        """The document if it may be stored; else None, and why it may not is among the `failures`. `index` is its place."""
        warned = len(self.warnings)
        try:
            text = document if isinstance(document, bytes) else _dumped(document)
            if len(text) > self._most:  # before it is parsed: a line may be anything
                raise self._too_large()
            given = _parsed(text) if text is document else document
            if not self._validator.is_valid(given, partial=self._partial):
                raise self._invalid(given)
            return self._sent(index, given, text if text is not document else None)
        except InvalidDocument as refused:
            del self.warnings[warned:]  # they are about what is stored
            self.failures.append(DocumentProblem(index, refused.path, refused.code, refused.message, _kept(document)))
            return None

    def _sent(self, index: int, given: Document, text: bytes | None) -> ValidDocument:
        """The valid document in the form in which it is stored. `text`: that of the document as it was given, if it is at hand.

        A line of text is written anew from what was read: the last of equal keys, and no number that Postgres lacks.
        """
        body = self._form(given)
        if text is None or body is not given:
            text = _dumped(body)
        read = body if self._rules.has_whole_numbers else given
        identities = self._plain(read) or self._identities(index, read)
        xid, tied = identities[0].xid, linked_xids(identities)
        at = self._observed_at(given if self._are_events else body)  # events are ordered to the microsecond
        as_sent = None
        if body is not given and not self._are_events:
            as_sent = orjson.dumps(dict(changed_leaves(given, body))).decode()
        return ValidDocument(index, xid, text.decode(), body, identities, tied, at, as_sent)

    def _too_large(self) -> InvalidDocument:
        return InvalidDocument(
            "$", "SIZE", f"The document has more than {self._most:,} bytes, the most that is allowed."
        )

    def _invalid(self, body: Any) -> InvalidDocument:
        """The document's first fault; its message names the others."""
        first, *others = self._validator.violations(body, partial=self._partial)
        more = f" Also wrong: {', '.join(f'{fault.path} ({fault.code})' for fault in others)}." if others else ""
        return InvalidDocument(first.path, first.code, first.message + more)

    def _observed_at(self, body: Document) -> datetime | None:
        if self._are_events:
            if len(body["_id"]) > MAX_EVENT_ID:
                raise InvalidDocument("$._id", "LENGTH", f"An event's _id has at most {MAX_EVENT_ID} characters.")
            return instant(body["timestamp"])
        return last_updated(body)

    # -------------------------------------------------------------------------------------------- identities

    def _plain(self, body: Document) -> tuple[NamedIdentity, ...] | None:
        """What `_identities` finds where there is nothing to say of any of them, as in most documents; None for all others."""
        named, marked, plainly = list[NamedIdentity](), list[NamedIdentity](), self._plainly
        for claim in self._described(body) if self._descriptors else ():
            if (each := plainly[claim.code](claim.value)) is None:
                return None
            named.append(each)
            if claim.is_primary:
                marked.append(each)
        for code, items in (body.get("identityMap") or {}).items():
            identity = plainly[code]
            for item in items or ():
                if (each := identity(item.get("id", ""))) is None or len(named) >= MAX_IDENTITIES:
                    return None
                named.append(each)
                if item.get("primary"):
                    marked.append(each)
        return self._from_sole(named, marked)

    def _from_sole(
        self, named: Sequence[NamedIdentity], marked: Sequence[NamedIdentity]
    ) -> tuple[NamedIdentity, ...] | None:
        """The identities from the primary one on, if it is plain which one that is."""
        first = highest(named, marked) if self._is_ranked else None
        if first is None:
            if len(marked) != 1:
                return None
            first = marked[0]
        return (first,) if len(named) == 1 else primary_first(named, first)

    def _identities(self, index: int, body: Document) -> tuple[NamedIdentity, ...]:
        """All identities that the document names, the primary one first. Raises Refused; warns of those that are not used as sent."""
        claims = [*self._described(body), *_mapped(body)] if self._descriptors else list(_mapped(body))
        if len(claims) > MAX_IDENTITIES:
            raise InvalidDocument(
                "$", "IDENTITY_COUNT", f"A document names at most {MAX_IDENTITIES} identities, not {len(claims)}."
            )
        is_placeholder = self._rules.is_placeholder
        nobodys = [claim for claim in claims if is_placeholder(claim.value)]
        if nobodys:
            self.warnings += [_names_nobody(index, claim) for claim in nobodys]
            claims = [claim for claim in claims if claim not in nobodys]
        named = list[NamedIdentity]()
        for claim in claims:
            each = to_identity(self._config, self._sandbox, claim)
            named.append(each)
            if each.namespace.normalization is _E164 and not is_international(each.value):
                self.warnings.append(_kept_as_sent(index, claim))
        marked = [each for claim, each in zip(claims, named, strict=True) if claim.is_primary]
        first = highest(named, marked) if self._is_ranked else None
        place = self._marked(claims, nobodys) if first is None else named.index(first)
        check_primary(claims[place], named[place].namespace)
        return primary_first(named, named[place])

    def named(self, body: Document) -> frozenset[UUID]:
        """The xids of all identities that a stored document names; none where they cannot be read by today's rules."""
        try:
            return frozenset(named.xid for named in self._identities(0, body))
        except InvalidDocument:
            return frozenset()

    def _described(self, body: Document) -> Iterator[Claim]:
        """What the schema's identity descriptors find."""
        for path, steps, code, is_primary in self._descriptors:
            value = _value_at(body, steps)
            if value is not None:
                yield Claim(code, str(value), is_primary, path, 0)

    def _marked(self, claims: Sequence[Claim], nobodys: Sequence[Claim]) -> int:
        """The identity that is said to be the primary one: of a record the schema's primary identity, else the one that
        identityMap marks; of an event the other way round. Where the schema has no primary identity, a sole one needs no mark."""
        for claim in nobodys:
            if claim.is_primary:
                message = f"The primary identity names nobody: {claim.value[:40]!r}."
                raise InvalidDocument(claim.path, "IDENTITY_PLACEHOLDER", message)
        marked = [place for place, claim in enumerate(claims) if claim.is_primary]
        if len(marked) > 1:
            marked = self._preferred(claims, marked)
        if len(marked) == 1:
            return marked[0]
        if nobodys and not claims:
            message = f"It names nobody: {nobodys[0].value[:40]!r}, and the document has no other identity."
            raise InvalidDocument(nobodys[0].path, "IDENTITY_PLACEHOLDER", message)
        if marked:
            raise InvalidDocument(
                claims[marked[1]].path, "IDENTITY_PRIMARY", "Only one identity can be marked as primary."
            )
        if len(claims) == 1 and not self._has_primary:
            return 0
        raise self._missing(claims)

    def _preferred(self, claims: Sequence[Claim], marked: Sequence[int]) -> list[int]:
        """Of several that are marked, those marked where this class of documents looks first."""
        by_map = self._are_events
        preferred = [place for place in marked if (claims[place].field is None) is by_map]
        return preferred or list(marked)

    def _missing(self, claims: Sequence[Claim]) -> InvalidDocument:
        for path, _, _, is_primary in self._descriptors:
            if is_primary:
                return InvalidDocument(f"$.{path}", "IDENTITY_MISSING", f"The primary identity {path} is missing.")
        if claims:
            return InvalidDocument(
                _MAP, "IDENTITY_MISSING", "No identity is marked as primary: true, and there are several."
            )
        return InvalidDocument(
            _MAP, "IDENTITY_MISSING", "The document names no identity, so nobody knows whom it is about."
        )


def to_identity(config: Configuration, sandbox: Sandbox, claim: Claim) -> NamedIdentity:
    """The identity that a claim states; its value names somebody. Raises Refused."""
    try:
        namespace = config.namespace(claim.code)
    except Misconfigured as error:
        raise InvalidDocument(claim.path, "IDENTITY_NAMESPACE", error.message) from error
    if namespace is None:
        raise InvalidDocument(claim.path, "IDENTITY_NAMESPACE", config.unknown_namespace(claim.code))
    value = RULES[sandbox.text_rules].forms[namespace.normalization](claim.value)
    if (fault := namespace.fault(value)) is not None:
        raise InvalidDocument(claim.path, "IDENTITY_VALUE", fault)
    return NamedIdentity(xid_of(sandbox.secret, namespace.namespace_id, value), namespace, value)


class _Plainly(dict[str, Callable[[str], NamedIdentity | None]]):
    """By the code of a namespace, what makes an identity of a value; None of one of which something has to be said."""

    def __init__(self, config: Configuration, sandbox: Sandbox) -> None:
        super().__init__()
        self._config, self._sandbox, self._rules = config, sandbox, RULES[sandbox.text_rules]

    def __missing__(self, code: str) -> Callable[[str], NamedIdentity | None]:
        try:
            namespace = self._config.namespace(code)
        except Misconfigured:
            namespace = None
        if namespace is None or namespace.type is IdentityType.NON_PEOPLE:
            return _not_plainly
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


def _not_plainly(_: str) -> None:
    return None


def check_primary(claim: Claim, namespace: Namespace) -> None:
    """Raise Refused where the namespace names no people: nothing that is kept is about one of those alone."""
    if namespace.type is IdentityType.NON_PEOPLE:
        message = f"{namespace.code} is of type NON_PEOPLE, so it cannot be the primary identity: name the person."
        raise InvalidDocument(claim.path, "IDENTITY_PRIMARY", message)


def highest(named: Sequence[NamedIdentity], marked: Collection[NamedIdentity]) -> NamedIdentity | None:
    """Of an event, the identity of the namespace that ranks highest in the identity settings, if any is listed there, whatever is marked
    as primary. Of several in that namespace, one that is marked."""
    listed = [
        (each.namespace.priority, each not in marked, each.xid, each)
        for each in named
        if each.namespace.priority is not None
    ]
    return min(listed)[-1] if listed else None


def primary_first(named: Iterable[NamedIdentity], first: NamedIdentity) -> tuple[NamedIdentity, ...]:
    """This identity, then the others, each once; beside another one, one that names no people says nothing."""
    others = {n.xid: n for n in named if n.namespace.type is not IdentityType.NON_PEOPLE}
    return tuple(({first.xid: first} | others).values())


_MAP = "$.identityMap"
_E164 = IdentityNormalization.E164


def _mapped(body: Document) -> Iterator[Claim]:
    for code, items in (body.get("identityMap") or {}).items():
        for place, item in enumerate(items or ()):
            yield Claim(code, item.get("id", ""), item.get("primary", False), None, place)


def _names_nobody(index: int, claim: Claim) -> DocumentProblem:
    message = f"{claim.value[:40]!r} names nobody, so it links nobody; leave such an identity out."
    return DocumentProblem(index, claim.path, "IDENTITY_PLACEHOLDER", message)


def _kept_as_sent(index: int, claim: Claim) -> DocumentProblem:
    message = f"{claim.code} has no number of the form + and 8 to 15 digits here: it is compared as it was sent."
    return DocumentProblem(index, claim.path, "IDENTITY_E164", message)


def linked_xids(identities: Sequence[NamedIdentity]) -> tuple[UUID, ...]:
    """The xids that a document ties together by naming these, in order; fewer than two tie nobody."""
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
    """The value of a JSON text. Raises Refused, also for JSON that says what cannot be kept."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        code, message = _UNREADABLE.get(error.msg, ("JSON", f"This is no JSON: {error.msg}"))
        raise InvalidDocument("$", code, f"{message} (column {error.colno}).") from error


_UNREADABLE: Mapping[str, tuple[str, str]] = {
    "number is infinity when parsed as double": ("RANGE", OUT_OF_RANGE),
    "depth limit exceeded": ("DEPTH", f"Documents nest up to {MAX_DEPTH} levels"),
    **dict.fromkeys(
        ("no low surrogate in string", "invalid low surrogate in string", "invalid high surrogate in string"),
        ("CHARACTER", "The text holds half of a surrogate pair, which is no character"),
    ),
}
"""JSON all the same, by what the parser says of it."""


def _dumped(document: Any) -> bytes:
    """The document as JSON text, of numbers and characters that Postgres can store. Raises Refused."""
    try:
        return orjson.dumps(document)
    except TypeError as error:
        for fault in unreadable(document):
            raise InvalidDocument(fault.path, fault.code, fault.message) from error
        raise InvalidDocument("$", "JSON", "The document holds a value that JSON cannot carry.") from error


def _kept(document: Any) -> Any:
    """What of a refused document is kept: the document; as text where it cannot be read, or nests too deeply to be part of an answer.

    None if there is neither.
    """
    try:
        value = orjson.loads(document) if isinstance(document, bytes) else document
        text = orjson.dumps(value)
    except (orjson.JSONDecodeError, TypeError):
        return (
            document.decode(errors="replace").replace("\x00", "�") if isinstance(document, bytes) else _text(document)
        )
    is_deep = not is_readable(value) and any(fault.code == "DEPTH" for fault in unreadable(value))
    return text.decode() if is_deep else value


def _text(document: Any) -> str | None:
    """JSON of a document that holds numbers or characters which cannot be stored, these written in ASCII."""
    try:
        return json.dumps(document)
    except (TypeError, ValueError, RecursionError):
        return None


def future_times(sent: Iterable[ValidDocument], now: datetime) -> list[DocumentProblem]:
    """A warning for each document that speaks of a time which has not come: it counts as of now."""
    return [_ahead_of_time(each) for each in sent if each.observed_at is not None and each.observed_at > now]


def _ahead_of_time(document: ValidDocument) -> DocumentProblem:
    path = "$.timestamp" if "timestamp" in document.body else "$.extSourceSystemAudit.lastUpdatedDate"
    message = (
        "This time lies in the future, so it counts as the time of ingestion; look for a wrong clock or time zone."
    )
    return DocumentProblem(document.position, path, "FUTURE_TIME", message, document.body)
