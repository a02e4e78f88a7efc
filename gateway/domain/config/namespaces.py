"""Identity namespaces: what kind of identity a value is, and how values are compared.

Every sandbox starts with the standard namespaces, under the numbers of Adobe's Real-Time Customer Profile. A namespace is never deleted,
and its code, type and normalization never change, because xids are computed with them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from gateway.domain.config.broken_rows import Broken, parse_rows, refuse_change
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.rules.edited import Edited, check_version
from gateway.domain.rules.graphs import IdentityType, xids_in
from gateway.domain.rules.limits import NAMESPACES, check_room
from gateway.domain.rules.names import check_description, check_name, did_you_mean
from gateway.domain.rules.normalization import MAX_VALUE_CHARACTERS, RULES, IdentityNormalization
from gateway.domain.rules.scope import READ_CONFIGURATION, Permission, Sandbox, Scope
from gateway.domain.rules.text import stripped
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.errors import Invalid, NotFound, Taken
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.xdm.fields import KEYS, Field

LIST = query("namespaces.list_namespaces")
LIST_OF_ERASED = query("namespaces.list_namespaces_of_erased")
CREATE = query("namespaces.create_namespace")
NEXT = query("namespaces.next_namespace")
UPDATE = query("namespaces.update_namespace")

FIRST_CUSTOM_ID = 10_000_001  # above Adobe's numbers
MAX_CODE_CHARACTERS = 64
ECID = "ECID"
ECID_DIGITS = 38
_EXACT, _LOWERCASE = IdentityNormalization.EXACT, IdentityNormalization.TRIM_LOWERCASE
NEVER = datetime.min.replace(tzinfo=UTC)  # when the templates of STANDARD were made
MAX_SUGGESTIONS = 100  # codes with which an unknown one is compared, letter by letter


@dataclass(frozen=True, slots=True)
class Namespace(Edited):
    """A kind of identity. `priority` (1 is highest) and `is_unique_per_graph` come from the sandbox's identity settings, which have a version of
    their own.

    Standard namespaces have the same `namespace_id` in every sandbox; `sandbox_id` tells them apart.
    """

    namespace_id: int
    code: str
    name: str
    description: str | None
    type: IdentityType
    normalization: IdentityNormalization
    is_custom: bool
    priority: int | None = None
    is_unique_per_graph: bool = False
    sandbox_id: int = 0  # 0: a template of STANDARD

    def xid(self, sandbox: Sandbox, value: str) -> UUID:
        """Compute the xid of a value. Values that the namespace treats as equal have one xid."""
        return self.xids(sandbox, [value])[0]

    def xids(self, sandbox: Sandbox, values: Iterable[str]) -> list[UUID]:
        """Compute the xids of many values, in order."""
        return list(map(xids_in(sandbox.secret, self.namespace_id), self.normalized(sandbox, values)))

    def normalized(self, sandbox: Sandbox, values: Iterable[str]) -> list[str]:
        """Normalize values as the namespace and the sandbox's text rules say, in order."""
        return RULES[sandbox.text_rules].normalized(self.normalization, list(values))

    def fault(self, value: str) -> str | None:
        """Return why no identity can have this normalized value; None for a valid one."""
        if len(value) > MAX_VALUE_CHARACTERS:
            return f"An identity has at most {MAX_VALUE_CHARACTERS:,} characters."
        if self.code == ECID and not (len(value) == ECID_DIGITS and value.isascii() and value.isdigit()):
            return f"An ECID has exactly {ECID_DIGITS} digits."
        return "An identity has no NUL character." if "\0" in value else None

    def are_valid(self, values: Sequence[str]) -> bool:
        """Return whether all normalized values are valid. Faster than `fault` for each of them."""
        text = "".join(values)
        if self.code == ECID:
            are_long = {ECID_DIGITS}.issuperset(map(len, values))
            return are_long and (not text or text.encode(errors="replace").isdigit())  # bytes: fast
        are_short = len(text) <= MAX_VALUE_CHARACTERS or max(map(len, values)) <= MAX_VALUE_CHARACTERS
        return are_short and "\0" not in text


def _standard(
    number: int, code: str, name: str, kind: IdentityType, normalization: IdentityNormalization = _EXACT
) -> Namespace:
    edited: dict[str, Any] = {"version": 1, "created_at": NEVER, "updated_at": NEVER, "created_by": None}
    return Namespace(number, code, name, None, kind, normalization, is_custom=False, **edited)


# The ids are those of Adobe's Real-Time Customer Profile up to 20,915; the last one is ours.
STANDARD = (
    _standard(0, "CORE", "Audience Manager", IdentityType.COOKIE),
    _standard(4, "ECID", "Experience Cloud ID", IdentityType.COOKIE),
    _standard(6, "Email", "E-mail address", IdentityType.EMAIL, _LOWERCASE),
    _standard(7, "Phone", "Phone number", IdentityType.PHONE, IdentityNormalization.E164),
    _standard(8, "WAID", "Windows advertising ID", IdentityType.DEVICE),
    _standard(9, "TNTID", "Target", IdentityType.COOKIE),
    _standard(10, "AAID", "Analytics (legacy)", IdentityType.COOKIE),
    _standard(11, "Email_LC_SHA256", "E-mail address, lower case, SHA-256", IdentityType.EMAIL, _LOWERCASE),
    _standard(411, "AdCloud", "Advertising Cloud", IdentityType.COOKIE),
    _standard(20914, "GAID", "Google advertising ID", IdentityType.DEVICE),
    _standard(20915, "IDFA", "Apple ID for advertisers", IdentityType.DEVICE),
    _standard(20916, "Phone_SHA256", "Phone number, SHA-256", IdentityType.PHONE, _LOWERCASE),
)


def unknown_namespace(code: str, known: Iterable[str]) -> str:
    """Return the error message for an unknown code. It suggests similar codes, and to create the namespace only if there are none."""
    codes, folded = list(known), code[:MAX_CODE_CHARACTERS].casefold()
    same = [each for each in codes if each.casefold() == folded]
    offered = did_you_mean(code[:MAX_CODE_CHARACTERS], same or codes[:MAX_SUGGESTIONS])
    return f"There is no identity namespace {code[:MAX_CODE_CHARACTERS]!r} in this sandbox.{offered or ' Create it first.'}"


def with_codes(union: Field, codes: Sequence[str]) -> Field:
    """Return the union of a class, in whose `identityMap` only these codes of namespaces are keys."""
    map_ = union["properties"]["identityMap"] | {KEYS: {"title": "identity namespace", "enum": codes}}
    return {**union, "properties": {**union["properties"], "identityMap": map_}}


async def create_standard(tx: Session, sandbox_id: int) -> None:
    """Create the namespaces that every new sandbox starts with."""
    for namespace in STANDARD:
        await tx.execute(CREATE, sandbox_id, *_columns(namespace), None)


async def list_of_erased(tx: Session, sandbox_id: int) -> list[Sequence[Any]]:
    """List the custom namespaces of identities that were erased, for `recreate`. An xid holds the number of its namespace, not the code."""
    return await tx.rows(LIST_OF_ERASED, sandbox_id)


async def recreate(tx: Session, sandbox_id: int, rows: Iterable[Sequence[Any]]) -> None:
    """Create namespaces that went with their sandbox anew, under their former numbers."""
    for row in rows:
        await tx.execute(CREATE, sandbox_id, *row)


async def load_namespaces(tx: Session, scope: Scope, broken: Broken[int] | None = None) -> list[Namespace]:
    """Load all namespaces of the sandbox, by code. Needs no permission. Rows that cannot be parsed go into `broken`."""
    return parse_namespaces(await tx.rows(LIST, scope.sandbox_id), broken)


async def list_namespaces(db: Database, scope: Scope) -> list[Namespace]:
    """List all namespaces of the sandbox, by code. Needs `profile:read` or `config:write`. Raises Forbidden."""
    scope.require(*READ_CONFIGURATION)
    return parse_namespaces(await db.rows(LIST, scope.sandbox_id))


async def create_namespace(
    db: Database,
    scope: Scope,
    *,
    code: str,
    name: str,
    kind: IdentityType,
    normalization: IdentityNormalization = IdentityNormalization.EXACT,
    description: str | None = None,
) -> Namespace:
    """Create a custom namespace. Needs `config:write`. Raises Forbidden, Invalid, Taken, TooMany."""
    scope.require(Permission.CONFIG_WRITE)
    if not stripped(code) or len(code) > MAX_CODE_CHARACTERS or code != stripped(code):
        raise Invalid(f"A code has 1 to {MAX_CODE_CHARACTERS} characters and no blank at its ends.", path=["code"])
    check_name(code, "code")
    check_name(name)
    check_description(description)
    async with db.transaction(scope.sandbox_id) as tx:
        broken: Broken[int] = {}
        known = await _locked(tx, scope, broken)
        _check_free(code, [*known, *(row.name for row in broken.values() if row.name)])
        check_room(sum(each.is_custom for each in known.values()), NAMESPACES, "custom namespaces", "A sandbox")
        number = await tx.value(NEXT, scope.sandbox_id, FIRST_CUSTOM_ID)
        columns = (number, code, name, description, kind, normalization, True)
        stamps: Any = await tx.row(CREATE, scope.sandbox_id, *columns, scope.actor)
        namespace = Namespace(*columns, sandbox_id=scope.sandbox_id, **stamps)
        await audit.record(tx, scope, "createIdentityNamespace", _subject(namespace), after=namespace)
    return namespace


def _check_free(code: str, taken: Iterable[str]) -> None:
    """Raise Taken if the code is taken, or one that differs in case only: people confuse such codes."""
    for other in taken:
        if other == code:
            raise Taken(f"There is a namespace {code!r} already.", path=["code"])
        if other.casefold() == code.casefold():
            raise Taken(
                f"There is a namespace {other!r} already; codes may not differ in case alone. Use that one, or another code.",
                path=["code"],
            )


async def update_namespace(
    db: Database, scope: Scope, namespace_id: int, changes: Mapping[str, Any], current_version: int | None = None
) -> Namespace:
    """Change a custom namespace's `name` or `description`, and return it. Needs `config:write`.

    Raises Forbidden, Invalid, NotFound, also for a standard namespace, Stale unless `current_version` is None or the namespace's version,
    and Conflict for a broken one.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        broken: Broken[int] = {}
        namespaces = {each.namespace_id: each for each in (await _locked(tx, scope, broken)).values()}
        refuse_change(broken, namespace_id)
        namespace = namespaces.get(namespace_id)
        if namespace is None or not namespace.is_custom:
            raise NotFound("There is no custom namespace with this id; standard ones never change.", path=["id"])
        check_version(namespace.version, current_version)
        changed = replace(namespace, **changes)
        check_name(changed.name)
        check_description(changed.description)
        if changed != namespace:
            stamps: Any = await tx.row(UPDATE, scope.sandbox_id, namespace_id, changed.name, changed.description)
            changed = replace(changed, **stamps)
            subject = _subject(namespace)
            await audit.record(tx, scope, "updateIdentityNamespace", subject, before=namespace, after=changed)
    return changed


def _subject(namespace: Namespace) -> Subject:
    return Subject("IdentityNamespace", (namespace.sandbox_id, namespace.namespace_id))


async def _locked(tx: Session, scope: Scope, broken: Broken[int]) -> dict[str, Namespace]:
    """Load the namespaces by code, under the lock of the configuration. Broken rows go into `broken`."""
    await lock_configuration(tx, scope)
    return {namespace.code: namespace for namespace in await load_namespaces(tx, scope, broken)}


def _columns(namespace: Namespace) -> tuple[Any, ...]:
    return (
        *(namespace.namespace_id, namespace.code, namespace.name, namespace.description),
        *(namespace.type, namespace.normalization, namespace.is_custom),
    )


def parse_namespaces(rows: Iterable[Any], broken: Broken[int] | None = None) -> list[Namespace]:
    """Make namespaces of rows of their table. Rows that cannot be parsed are left out, and described in `broken` if given."""
    return parse_rows(rows, _namespace, broken, table="namespace", key="namespace_id", name="code")


def _namespace(row: Any) -> Namespace:
    return Namespace(
        *(row["namespace_id"], row["code"], row["name"], row["description"]),
        *(IdentityType(row["id_type"]), IdentityNormalization(row["normalization"]), row["is_custom"]),
        *(row["priority"], row["is_unique_per_graph"], row["sandbox_id"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        created_by=row["created_by"],
    )
