"""The view of kept values: what a transaction takes away of them at once. They are brought up to date by readers (`reading/kept_values.py`).

A value that is old is computed anew before it is told. But one that is made of facts which were removed must not stay until somebody asks:
so a transaction that removes facts, or may part people, removes the values of all people that it concerns.
"""

from typing import Final

from gateway.domain.views.check import Check, Piece
from gateway.domain.views.fact_change import FactChange
from gateway.domain.work.locks import locking
from gateway.storage.queries import template

FORGET = template("kept_values.forget_people")


class KeptValues:
    """The view of values that searches read. Its rows are compared by `operations.kept_values`, since reading computes them."""

    name = "kept values"
    tables = ("kept_value",)

    async def refresh(self, change: FactChange) -> None:
        """Remove the values of people who may have parted, or who lost facts: of those alone that the journal names, so that readers make them anew."""
        parts = change.locked is None
        if not (parts or change.is_removal) or not change.config.attributes:
            return
        people = change.effects.people.values()
        named = {profile_id for person in people for profile_id in (person.profile_id, *person.former)}
        xids = named.union(*(person.xids for person in people), change.event_xids)
        xids.update(xid for each in named for xid in change.former_members.get(each, ()))
        if xids:
            change.forgotten_values += await change.tx.value(
                locking(FORGET, change.tx, "for update of v"), change.scope.sandbox_id, list(xids)
            )

    async def verify(self, check: Check, piece: Piece) -> None:
        """Compare nothing: see `operations.kept_values`."""

    async def verify_rest(self, check: Check) -> None:
        """Compare nothing: see `operations.kept_values`."""


KEPT_VALUES: Final = KeptValues()
