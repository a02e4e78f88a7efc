"""What an edge knows of a sandbox besides people: its names, keys, namespaces and credentials."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from gateway.domain.edges.configurations import ServedConfiguration
from gateway.storage.database import Database, Session
from gateway.storage.queries import EDGE, query

PUT = query("sandboxes.put_sandbox", EDGE)
REPLACE_NAMESPACES = query("sandboxes.replace_namespaces", EDGE)
REPLACE_API_KEYS = query("sandboxes.replace_api_keys", EDGE)
REPLACE_SIGNING_KEYS = query("sandboxes.replace_signing_keys", EDGE)
REPLACE_ISSUERS = query("sandboxes.replace_issuers", EDGE)
REPLACE_REVOCATIONS = query("sandboxes.replace_revocations", EDGE)
LIST = query("sandboxes.list_sandboxes", EDGE)
IS_HEARD = query("sandboxes.is_heard", EDGE)
READ_SETTINGS = query("sandboxes.read_settings", EDGE)
NOTE_CURSOR = query("sandboxes.note_cursor", EDGE)
CONFIRM = query("sandboxes.confirm", EDGE)
FORGET_ABSENT = query("projections.forget_absent", EDGE)
DROP_PEOPLE = query("sandboxes.drop_people", EDGE)
DROP = query("sandboxes.drop_sandbox", EDGE)

ROWS_AT_ONCE = 10_000
"""Of each table, that one piece of a dropped sandbox takes away."""


@dataclass(frozen=True, slots=True)
class DeliveredNamespace:
    """How values of a namespace are normalized: a member of `IdentityNormalization`."""

    namespace_id: int
    code: str
    normalization: str


@dataclass(frozen=True, slots=True)
class DeliveredApiKey:
    """The SHA-256 of a key that opens the sandbox."""

    key_hash: bytes
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveredSigningKey:
    """The public Ed25519 key, of 32 bytes, that verifies tokens whose header names `key_id`."""

    key_id: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class DeliveredIssuer:
    """Another issuer of tokens, with the rules by which the hub takes them. `leeway` is in seconds; `keys` a JSON Web Key Set of public keys.

    None for `keys` stands for those that the edge knows: the hub has not fetched them yet.
    """

    issuer: str
    audience: str
    algorithms: Sequence[str]
    leeway: float
    keys: str | None


@dataclass(frozen=True, slots=True)
class DeliveredRevocation:
    """The hash of a token's id, or of the id of a key that signed tokens."""

    token_hash: bytes
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveredSandbox:
    """What a hub delivers of a sandbox. `key` is the edge's own (`edge_key`); by `digest` the hub knows what it has delivered."""

    sandbox_id: int
    organization_id: UUID
    name: str
    is_default: bool
    key: bytes = field(repr=False)
    text_rules: int
    namespaces: Sequence[DeliveredNamespace]
    api_keys: Sequence[DeliveredApiKey]
    signing_keys: Sequence[DeliveredSigningKey]
    issuers: Sequence[DeliveredIssuer]
    revocations: Sequence[DeliveredRevocation]
    digest: str


@dataclass(frozen=True, slots=True)
class ReceivedSandbox:
    """A sandbox that an edge has: the digest of what was last delivered of it, and up to where its people were, at the time `heard_at`."""

    sandbox_id: int
    organization_id: UUID
    name: str
    is_default: bool
    settings_version: int
    digest: str
    cursor: str | None
    heard_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReceivedSettings:
    """What was delivered of a sandbox and its configurations, at one moment. `version` grows with each delivery of any of it."""

    sandbox: DeliveredSandbox
    configurations: tuple[ServedConfiguration, ...]
    version: int


async def deliver_sandbox(tx: Session, sandbox: DeliveredSandbox) -> None:
    """Store what is known of a sandbox in place of what was known before."""
    key = sandbox.sandbox_id
    of = sandbox.organization_id, sandbox.name, sandbox.is_default, sandbox.key, sandbox.text_rules, sandbox.digest
    await tx.execute(PUT, key, *of)
    spaces = sandbox.namespaces
    columns = (
        [each.namespace_id for each in spaces],
        [each.code for each in spaces],
        [each.normalization for each in spaces],
    )
    await tx.execute(REPLACE_NAMESPACES, key, *columns)
    api_keys, revocations = sandbox.api_keys, sandbox.revocations
    await tx.execute(
        REPLACE_API_KEYS, key, [each.key_hash for each in api_keys], [each.expires_at for each in api_keys]
    )
    signing = sandbox.signing_keys
    await tx.execute(
        REPLACE_SIGNING_KEYS, key, [each.key_id for each in signing], [each.public_key for each in signing]
    )
    await _deliver_issuers(tx, key, sandbox.issuers)
    await tx.execute(
        REPLACE_REVOCATIONS, key, [each.token_hash for each in revocations], [each.expires_at for each in revocations]
    )


async def _deliver_issuers(tx: Session, sandbox_id: int, issuers: Sequence[DeliveredIssuer]) -> None:
    columns = (
        [each.issuer for each in issuers],
        [each.audience for each in issuers],
        [" ".join(each.algorithms) for each in issuers],
        [each.leeway for each in issuers],
        [each.keys for each in issuers],
    )
    await tx.execute(REPLACE_ISSUERS, sandbox_id, *columns)


async def list_sandboxes(db: Database) -> list[ReceivedSandbox]:
    """List the sandboxes that an edge has, by id."""
    return [ReceivedSandbox(**row) for row in await db.rows(LIST)]


async def is_heard(db: Database, sandbox_id: int, seconds: float) -> bool:
    """Return whether a hub has delivered changes of people, or that there are none, within so many seconds."""
    return bool(await db.value(IS_HEARD, sandbox_id, seconds))


async def read_settings(db: Database, sandbox_id: int) -> ReceivedSettings | None:
    """Read what was delivered of a sandbox, None for one that the edge does not have."""
    row = await db.row(READ_SETTINGS, sandbox_id)
    if row is None:
        return None
    sandbox = DeliveredSandbox(
        sandbox_id,
        row["organization_id"],
        row["name"],
        row["is_default"],
        row["key"],
        row["text_rules"],
        namespaces=[DeliveredNamespace(*each) for each in row["namespaces"]],
        api_keys=[DeliveredApiKey(*each) for each in row["api_keys"]],
        signing_keys=[DeliveredSigningKey(*each) for each in row["signing_keys"]],
        issuers=[DeliveredIssuer(*each) for each in row["issuers"]],
        revocations=[DeliveredRevocation(*each) for each in row["revocations"]],
        digest=row["digest"],
    )
    served = tuple(ServedConfiguration(*each) for each in row["configurations"])
    return ReceivedSettings(sandbox, served, row["settings_version"])


async def note_cursor(tx: Session, sandbox_id: int, cursor: str) -> None:
    """Note up to where changes of people were delivered, in the transaction that did so."""
    await tx.execute(NOTE_CURSOR, sandbox_id, cursor)


async def confirm(
    tx: Session, sandbox_id: int, cursor: str, lag_seconds: float, configuration_ids: Sequence[UUID]
) -> None:
    """Note up to where changes were delivered, and that these configurations serve what the hub had committed so many seconds ago.

    Absences that are known no longer are forgotten.
    """
    await note_cursor(tx, sandbox_id, cursor)
    await tx.execute(CONFIRM, sandbox_id, configuration_ids, lag_seconds)
    await tx.execute(FORGET_ABSENT)


async def drop_sandbox(tx: Session, sandbox_id: int, limit: int = ROWS_AT_ONCE) -> bool:
    """Take away a piece of a sandbox, and the sandbox itself first. Return whether more is left of its people."""
    await tx.execute(DROP, sandbox_id)
    return bool(await tx.value(DROP_PEOPLE, sandbox_id, limit))
