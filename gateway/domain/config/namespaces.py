"""Identity namespaces: what kind of identity a value is, and how it is compared.

Every sandbox starts with the standard ones, under the model's numbers. A namespace is never deleted; its code, type and normalization
never change, since every xid was made with them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from gateway.domain.config.broken_rows import Broken, parsed, refuse_change
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.rules.graphs import IdentityType, xids_in
from gateway.domain.rules.limits import NAMESPACES, check_room
from gateway.domain.rules.names import check_description, check_name, did_you_mean
from gateway.domain.rules.normalization import RULES, IdentityNormalization
from gateway.domain.rules.scope import EVERY_SANDBOX, READ_CONFIGURATION, Permission, Sandbox, Scope
from gateway.domain.rules.text import stripped
from gateway.errors import Invalid, NotFound, Taken
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

LIST = query("namespaces.list_namespaces")
CREATE = query("namespaces.create_namespace")
NEXT = query("namespaces.next_namespace")
UPDATE = query("namespaces.update_namespace")
LIST_RULED = query("namespaces.list_ruled")

FIRST_CUSTOM = 10_000_001  # above the model's numbers
CODE_LENGTH = 64
MAX_VALUE = 1024  # characters of an identity's value
ECID = "ECID"
ECID_DIGITS = 38
COMPARED = 100  # codes that an unknown one is compared with, letter by letter


@dataclass(frozen=True, slots=True)
class Namespace:
    """A kind of identity. `priority` (1 is highest) and `is_unique_per_graph` come from the sandbox's identity settings.

    Numbers are the same in every sandbox, so it takes `sandbox_id` to tell one sandbox's namespace from another's.
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
    sandbox_id: int = 0  # of the standard ones below, which are templates

    def xid(self, sandbox: Sandbox, value: str) -> UUID:
        """The xid of this value, in any spelling that the namespace treats as the same."""
        return self.xids(sandbox, [value])[0]

    def xids(self, sandbox: Sandbox, values: Iterable[str]) -> list[UUID]:
        """The same for many values."""
        return list(map(xids_in(sandbox.secret, self.namespace_id), self.spelled(sandbox, values)))

    def spelled(self, sandbox: Sandbox, values: Iterable[str]) -> list[str]:
        """The values in the one form under which the namespace knows each."""
        return RULES[sandbox.text_rules].spelled(self.normalization, list(values))

    def fault(self, value: str) -> str | None:
        """Why no identity can have this value, which is in the namespace's form; None for one that can be."""
        if len(value) > MAX_VALUE:
            return f"An identity has at most {MAX_VALUE:,} characters."
        if self.code == ECID and not (len(value) == ECID_DIGITS and value.isascii() and value.isdigit()):
            return f"An ECID has exactly {ECID_DIGITS} digits."
        return "An identity has no NUL character." if "\0" in value else None

    def may_have(self, values: Sequence[str]) -> bool:
        """Whether none of many values has a `fault`, as it mostly is."""
        text, lengths = "".join(values), set(map(len, values))
        if self.code == ECID:
            return lengths <= {ECID_DIGITS} and (
                not text or text.encode(errors="replace").isdigit()
            )  # of bytes it is fast
        return max(lengths, default=0) <= MAX_VALUE and "\0" not in text


def _standard(
    number: int,
    code: str,
    name: str,
    kind: IdentityType,
    normalization: IdentityNormalization = IdentityNormalization.EXACT,
) -> Namespace:
    return Namespace(number, code, name, None, kind, normalization, is_custom=False)


# Numbers as in the model where it tells them; from 20,916 on they are ours.
STANDARD = (
    _standard(0, "CORE", "Audience Manager", IdentityType.COOKIE),
    _standard(4, "ECID", "Experience Cloud ID", IdentityType.COOKIE),
    _standard(6, "Email", "E-mail address", IdentityType.EMAIL, IdentityNormalization.TRIM_LOWERCASE),
    _standard(7, "Phone", "Phone number", IdentityType.PHONE, IdentityNormalization.E164),
    _standard(8, "WAID", "Windows advertising ID", IdentityType.DEVICE),
    _standard(9, "TNTID", "Target", IdentityType.COOKIE),
    _standard(10, "AAID", "Analytics (legacy)", IdentityType.COOKIE),
    _standard(
        11,
        "Email_LC_SHA256",
        "E-mail address, lower case, SHA-256",
        IdentityType.EMAIL,
        IdentityNormalization.TRIM_LOWERCASE,
    ),
    _standard(411, "AdCloud", "Advertising Cloud", IdentityType.COOKIE),
    _standard(20914, "GAID", "Google advertising ID", IdentityType.DEVICE),
    _standard(20915, "IDFA", "Apple ID for advertisers", IdentityType.DEVICE),
    _standard(20916, "Phone_SHA256", "Phone number, SHA-256", IdentityType.PHONE, IdentityNormalization.TRIM_LOWERCASE),
)


def unknown_namespace(code: str, known: Iterable[str]) -> str:
    """What is wrong with a code that no namespace has: those that may be meant, and only where none is near, that it can be made."""
    codes, folded = list(known), code[:CODE_LENGTH].casefold()
    same = [each for each in codes if each.casefold() == folded]
    offered = did_you_mean(code[:CODE_LENGTH], same or codes[:COMPARED])
    return f"There is no identity namespace {code[:CODE_LENGTH]!r} in this sandbox.{offered or ' Create it first.'}"


async def create_standard(tx: Session, sandbox_id: int) -> None:
    """The namespaces that every new sandbox starts with."""
    for namespace in STANDARD:
        await tx.execute(CREATE, sandbox_id, *_columns(namespace))


async def load_namespaces(tx: Session, scope: Scope, broken: Broken[int] | None = None) -> list[Namespace]:
    """All namespaces of the sandbox, by code; for who builds on them, whatever the caller may do. Rows that cannot be read go into `broken`."""
    return _namespaces(await tx.rows(LIST, scope.sandbox_id), broken)


async def list_namespaces(db: Database, scope: Scope) -> list[Namespace]:
    """All namespaces of the sandbox, by code. Raises Forbidden."""
    scope.require(*READ_CONFIGURATION)
    return _namespaces(await db.rows(LIST, scope.sandbox_id))


async def read_settings(db: Database, scope: Scope, sandbox_ids: Sequence[int]) -> list[list[Namespace]]:
    """The identity settings of these sandboxes: the namespaces with a priority, the highest first. Raises Forbidden.

    None for a sandbox that the organization lacks or the caller's token does not cover.
    """
    scope.require(*(READ_CONFIGURATION if set(sandbox_ids) <= {scope.sandbox_id} else (Permission.ADMIN,)))
    ruled: dict[int, list[Namespace]] = {sandbox_id: [] for sandbox_id in sandbox_ids}
    names = None if EVERY_SANDBOX in scope.sandboxes else [scope.sandbox.name, *scope.sandboxes]
    rows = await db.rows(LIST_RULED, sandbox_ids, scope.organization.organization_id, names)
    for namespace in _namespaces(rows):
        ruled[namespace.sandbox_id].append(namespace)
    return [ruled[sandbox_id] for sandbox_id in sandbox_ids]


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
    """A custom namespace, its code, type and normalization for good. Needs `config:write`. Raises Forbidden, Invalid, Taken."""
    scope.require(Permission.CONFIG_WRITE)
    if not stripped(code) or len(code) > CODE_LENGTH or code != stripped(code):
        raise Invalid(f"A code has 1 to {CODE_LENGTH} characters and no blank at its ends.", path=["code"])
    check_name(code, "code")
    check_name(name)
    check_description(description)
    async with db.transaction(scope.sandbox_id) as tx:
        broken: Broken[int] = {}
        known = await _locked(tx, scope, broken)
        _check_free(code, [*known, *(row.name for row in broken.values() if row.name)])
        check_room(sum(each.is_custom for each in known.values()), NAMESPACES, "custom namespaces", "A sandbox")
        number = await tx.value(NEXT, scope.sandbox_id, FIRST_CUSTOM)
        named = (number, code, name, description, kind, normalization)
        namespace = Namespace(*named, is_custom=True, sandbox_id=scope.sandbox_id)
        await tx.execute(CREATE, scope.sandbox_id, *_columns(namespace))
    return namespace


def _check_free(code: str, taken: Iterable[str]) -> None:
    """Raise Taken where the code is taken, or one that differs from it in case alone: look-ups tell them apart, and people do not."""
    for other in taken:
        if other == code:
            raise Taken(f"There is a namespace {code!r} already.", path=["code"])
        if other.casefold() == code.casefold():
            raise Taken(
                f"There is a namespace {other!r} already; codes may not differ in case alone. Use that one, or another code.",
                path=["code"],
            )


async def update_namespace(db: Database, scope: Scope, namespace_id: int, changes: Mapping[str, Any]) -> Namespace:
    """The custom namespace with another `name` or `description`. Needs `config:write`. Raises Forbidden, Invalid, NotFound."""
    scope.require(Permission.CONFIG_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        broken: Broken[int] = {}
        namespaces = {each.namespace_id: each for each in (await _locked(tx, scope, broken)).values()}
        refuse_change(broken, namespace_id)
        namespace = namespaces.get(namespace_id)
        if namespace is None or not namespace.is_custom:
            raise NotFound("There is no custom namespace with this id; standard ones never change.", path=["id"])
        changed = replace(namespace, **changes)
        check_name(changed.name)
        check_description(changed.description)
        await tx.value(UPDATE, scope.sandbox_id, namespace_id, changed.name, changed.description)
    return changed


async def _locked(tx: Session, scope: Scope, broken: Broken[int]) -> dict[str, Namespace]:
    """The namespaces by code, with every other change of this sandbox's configuration kept waiting. Broken rows go into `broken`."""
    await lock_configuration(tx, scope)
    return {namespace.code: namespace for namespace in await load_namespaces(tx, scope, broken)}


def _columns(namespace: Namespace) -> tuple[Any, ...]:
    return (
        *(namespace.namespace_id, namespace.code, namespace.name, namespace.description),
        *(namespace.type, namespace.normalization, namespace.is_custom),
    )


def _namespaces(rows: Iterable[Any], broken: Broken[int] | None = None) -> list[Namespace]:
    return parsed(rows, _namespace, broken, table="namespace", key="namespace_id", name="code")


def _namespace(row: Any) -> Namespace:
    return Namespace(
        *(row["namespace_id"], row["code"], row["name"], row["description"]),
        *(IdentityType(row["id_type"]), IdentityNormalization(row["normalization"]), row["is_custom"]),
        *(row["priority"], row["is_unique_per_graph"], row["sandbox_id"]),
    )
