"""Links by hand: pairs of identities that are kept apart whatever documents say, or tied although no document names both.

Both are facts. An unlinked pair is never joined by a direct link, whatever is ingested later, until the pair is linked again; the two may
still be joined through other identities. A manual tie belongs to no batch and no dataset, and stays until the pair is unlinked.
"""

import hashlib
from uuid import UUID

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.facts.appending import TIE
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.pipeline import refresh
from gateway.domain.views.transactions import exclusive_transaction
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.errors import Conflict, Invalid, NotFound
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

READ_ENDS = query("manual_links.read_ends")
READ_PAIR = query("manual_links.read_pair")
INSERT_UNLINKED_PAIR = query("manual_links.insert_unlinked_pair")
DELETE_UNLINKED_PAIR = query("manual_links.delete_unlinked_pair")
DELETE_MANUAL_TIE = query("manual_links.delete_manual_tie")

BY_HAND = UUID(int=0)
"""The batch id of manual ties."""


async def unlink_identities(db: Database, scope: Scope, configurations: Configurations, a: UUID, b: UUID) -> None:
    """Make two identities an unlinked pair: no tie joins them directly any more, though other identities may. Drop their manual tie.

    A pair that is unlinked already stays as it is.
    Needs `profile:write`. Raises Forbidden, Invalid, and NotFound for an unknown identity or if nothing ties the two.
    """
    scope.require(Permission.PROFILE_WRITE)
    async with exclusive_transaction(db, scope, configurations) as change:
        tx = change.tx
        await _check(tx, scope, change.config, a, b)
        (pair,) = await tx.rows(READ_PAIR, scope.sandbox_id, a, b)
        if pair["is_apart"]:
            return
        if not pair["is_tied"]:
            raise NotFound("The two are not linked: nothing names both of them.")
        await tx.update_rows(INSERT_UNLINKED_PAIR, scope.sandbox_id, rows=sorted([(a, b), (b, a)]))
        await tx.execute(DELETE_MANUAL_TIE, scope.sandbox_id, [a, b], _tie_id(a, b))
        change.seeds, change.recount = {a, b}, True
        await refresh(change)
        await _record(change, "unlinkIdentities", (a, b), were_apart=False, are_apart=True)


async def link_identities(db: Database, scope: Scope, configurations: Configurations, a: UUID, b: UUID) -> None:
    """Link two identities by hand: the pair is unlinked no longer, and a manual tie with the present time joins the two.

    A pair that was unlinked, and that documents tie, needs no manual tie and gets none. The identity settings may still refuse the link.
    Needs `profile:write`. Raises Forbidden; Invalid for one identity twice, or for one that is NON_PEOPLE; NotFound for an unknown one; Conflict
    for one that was erased.
    """
    scope.require(Permission.PROFILE_WRITE)
    async with exclusive_transaction(db, scope, configurations) as change:
        tx = change.tx
        await _check(tx, scope, change.config, a, b, is_linking=True)
        (pair,) = await tx.rows(READ_PAIR, scope.sandbox_id, a, b)
        await tx.execute(DELETE_UNLINKED_PAIR, scope.sandbox_id, [a, b])
        if not (pair["is_apart"] and pair["is_tied"]):
            await _tie(change, sorted([a, b]))
        change.seeds = {a, b}
        await refresh(change)
        await _record(change, "linkIdentities", (a, b), were_apart=pair["is_apart"], are_apart=False)


async def _record(
    change: FactChange, action: str, pair: tuple[UUID, UUID], *, were_apart: bool, are_apart: bool
) -> None:
    states = [{"xids": pair, "isUnlinked": is_apart} for is_apart in (were_apart, are_apart)]
    await audit.record(
        change.tx, change.scope, action, Subject("Identity", pair[:1]), before=states[0], after=states[1]
    )


async def _check(
    tx: Session, scope: Scope, config: Configuration, a: UUID, b: UUID, *, is_linking: bool = False
) -> None:
    if a == b:
        raise Invalid("An identity is always one with itself; name two.", path=["b"])
    known = {row["xid"]: row for row in await tx.rows(READ_ENDS, scope.sandbox_id, [a, b])}
    for field, xid in (("a", a), ("b", b)):
        if xid not in known:
            raise NotFound("No data names this identity.", path=[field])
        namespace = config.namespaces[known[xid]["namespace_id"]]
        if namespace.type is IdentityType.NON_PEOPLE:
            raise Invalid(f"{namespace.code} names no people, so it joins nobody.", path=[field])
        if is_linking and known[xid]["erased_at"] is not None:
            raise Conflict("This identity was erased; lift that before you link it.", path=[field])


async def _tie(change: FactChange, pair: list[UUID]) -> None:
    tie = (_tie_id(*pair), BY_HAND, None, pair[0], change.at, change.seq, pair, change.at, change.at)
    await change.tx.update_rows(TIE, change.scope.sandbox_id, rows=[(xid, *tie) for xid in pair])


def _tie_id(a: UUID, b: UUID) -> UUID:
    """Derive the id of the pair's manual tie, which no tie of a document can have."""
    parts = b"".join(xid.bytes for xid in (BY_HAND, *sorted([a, b])))
    return UUID(bytes=hashlib.blake2b(parts, digest_size=16).digest())
