"""Identities: pairs of a namespace and a value, each with an xid.

An identity is known while a fact names it: a record or an event stored under it, or a row that names it together with others. An erased
identity leaves its xid as a tombstone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.namespaces import Namespace
from gateway.domain.rules import graphs
from gateway.domain.rules.normalization import RULES
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import BadInput
from gateway.projection.sql import Relation, Source
from gateway.storage.database import Database, Reader
from gateway.storage.distribution import AMONG
from gateway.storage.queries import fill, part, template

NAMESPACE: Final = Relation(partial(fill, part("identities.namespace")), Source("n"), ("namespace_id",))


def is_primary(alias: str, among: str = "") -> str:
    """Return SQL of whether a live fragment or an event is stored under the identity with this alias; see AMONG."""
    return fill(part("identities.is_primary"), identity=alias, among=among)


def _sightings(among: str = "") -> str:
    return fill(part("identities.sightings"), identity="i", among=among)


_SIGHTINGS: Final = _sightings()
_FIRST_AT, _LAST_AT = part("identities.first_at"), part("identities.last_at")

IDENTITY: Final = Source(
    "i",
    related={"namespace": NAMESPACE},
    derived={
        "is_primary": is_primary("i"),
        "first_seen_at": f"(select {_FIRST_AT} from (values (1)) one {_SIGHTINGS})",
        "last_seen_at": f"(select {_LAST_AT} from (values (1)) one {_SIGHTINGS})",
    },
)
"""Identities, as projections read them."""

OF_FACT: Final = Relation(partial(fill, part("identities.identity")), IDENTITY, ("xid",))
"""The identity under which a fact is stored."""

READ = template("identities.read_identities").filled(is_asked=part("identities.is_any"))
READ_ONE = template("identities.read_identities").filled(is_asked=part("identities.is_one"))
READ_PRIMARIES: Final = {
    is_distributed: template("identities.read_primaries").filled(is_primary=is_primary("i", among))
    for is_distributed, among in AMONG.items()
}
READ_SIGHTINGS: Final = {
    is_distributed: template("identities.read_sightings").filled(
        first_at=_FIRST_AT, last_at=_LAST_AT, sightings=_sightings(among)
    )
    for is_distributed, among in AMONG.items()
}


class Identity(NamedTuple):
    """A known identity. `profile_id` is the person that it belongs to, None where it has none; `value` is None once it is erased."""

    xid: UUID
    namespace_id: int
    value: str | None
    profile_id: UUID | None

    @property
    def is_erased(self) -> bool:
        """Whether only the xid is left."""
        return self.value is None


@dataclass(frozen=True, slots=True)
class Sighting:
    """The first and the last time of the facts that name an identity: of live ones, or of all if every one is deleted or retracted."""

    first_at: datetime
    last_at: datetime


def resolve_xid(scope: Scope, config: Configuration, namespace: str, value: str) -> UUID:
    """Return the xid of a value in a namespace, whether the identity is known or not. Pure.

    Raises BadInput for an unknown namespace, a placeholder value, and a value that breaks a rule of its namespace.
    """
    return _xids(scope, known_namespace(config, namespace), [value])[0]


def known_namespace(config: Configuration, namespace: str) -> Namespace:
    """Return the namespace with this code. Raises BadInput for an unknown one, which names the codes most like it, and Misconfigured."""
    known = config.namespace(namespace)
    if known is None:
        raise BadInput(config.unknown_namespace(namespace))
    return known


def resolve_xids(scope: Scope, config: Configuration, given: Iterable[tuple[str, str]]) -> list[UUID]:
    """Return the xids of many pairs of a namespace and a value. Raises BadInput as `resolve_xid` does."""
    pairs = list(given)
    values: dict[str, list[str]] = {}
    for namespace, value in pairs:
        values.setdefault(namespace, []).append(value)
    xids = {name: iter(_xids(scope, known_namespace(config, name), each)) for name, each in values.items()}
    return [next(xids[namespace]) for namespace, _ in pairs]


def _xids(scope: Scope, namespace: Namespace, values: list[str]) -> list[UUID]:
    sandbox, rules = scope.sandbox, RULES[scope.sandbox.text_rules]
    if rules.first_placeholder(values) is not None:
        raise BadInput("A value that names nobody, such as null or guest, is no identity.")
    normalized = rules.normalized(namespace.normalization, values)
    if not namespace.are_valid(normalized):
        raise BadInput(next(filter(None, map(namespace.fault, normalized))))
    return list(map(graphs.xids_in(sandbox.secret, namespace.namespace_id), normalized))


async def read_identities(db: Reader, scope: Scope, xids: Sequence[UUID]) -> list[Identity | None]:
    """Read each identity, tombstones of erased ones included, None for unknown ones. Needs `profile:read`; raises Forbidden."""
    known = await read_known_identities(db, scope, xids)
    return [known.get(xid) for xid in xids]


async def read_known_identities(db: Reader, scope: Scope, xids: Iterable[UUID]) -> dict[UUID, Identity]:
    """Read the stored identities among these, tombstones of erased ones included, by xid. Needs `profile:read`; raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    asked = list(set(xids))
    is_one = db.is_distributed and len(asked) == 1
    rows = db.rows(READ_ONE, scope.sandbox_id, asked[0]) if is_one else db.rows(READ, scope.sandbox_id, asked)
    return {row["xid"]: Identity(*row) for row in await rows}


async def read_primaries(db: Reader, scope: Scope, xids: Sequence[UUID]) -> list[bool]:
    """Return for each xid whether a live fragment or an event is stored under it. Needs `profile:read`; raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    rows = await db.rows(READ_PRIMARIES[db.is_distributed], scope.sandbox_id, list(set(xids)))
    primaries = {row["xid"] for row in rows}
    return [xid in primaries for xid in xids]


async def read_sightings(db: Database, scope: Scope, xids: Sequence[UUID]) -> list[Sighting | None]:
    """Read the first and last time of each identity's facts, None where it has none. Needs `profile:read`; raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    rows: list[Any] = await db.rows(READ_SIGHTINGS[db.is_distributed], scope.sandbox_id, list(set(xids)))
    seen = {row["xid"]: Sighting(row["first_at"], row["last_at"]) for row in rows if row["first_at"] is not None}
    return [seen.get(xid) for xid in xids]
