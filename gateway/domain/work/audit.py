"""The audit log: who changed what, with its state before and after. Each verb adds its entry in the transaction of the change.

An entry outlives what it is about, and is never changed: no verb deletes one. It holds no secret, and names people by their xids alone.
"""

from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.rules.scope import Scope
from gateway.storage.database import Session
from gateway.storage.queries import query
from gateway.telemetry import correlation_id

RECORD = query("audit.record")

OF_ORGANIZATION: Final = frozenset({"ApiKey", "Token"})
"""Types of subjects that belong to the organization, not to one of its sandboxes."""


class Subject(NamedTuple):
    """What an entry is about: the name of its type in the API, and the parts of the key that its global id is made of.

    A type without global ids has no key: what it is stands in the entry's `before` and `after`.
    """

    type: str
    key: tuple[UUID | int, ...] = ()


async def record(
    tx: Session, scope: Scope, action: str, subject: Subject, *, before: Any = None, after: Any = None
) -> None:
    """Add an entry to the log, in the transaction of the change.

    `action` is the name of the mutation, as in `updateDataset`, also where a command makes the change. `before` and `after` are the
    subject's state as a dataclass or a mapping, None where it did not exist or is gone. Of a dataclass, fields with `repr=False` are
    left out: they are secrets.
    """
    request = correlation_id.get()
    await tx.execute(
        RECORD,
        *(scope.organization.organization_id, _sandbox_of(scope, subject), scope.actor, scope.api_key_id, action),
        *(subject.type, [str(part) for part in subject.key], _told(before), _told(after)),
        None if request == "-" else request,
    )


def _sandbox_of(scope: Scope, subject: Subject) -> UUID | int | None:
    """Return the id of the sandbox that a subject is, or is in; None for what belongs to the organization."""
    if subject.type in OF_ORGANIZATION:
        return None
    return subject.key[0] if subject.type == "Sandbox" else scope.sandbox_id


def _told(state: Any) -> str | None:
    """Return a state as JSON whose keys are named as in the API, None for None."""
    if state is None:
        return None
    return orjson.dumps(state, default=_plain, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {_camel(field.name): getattr(value, field.name) for field in fields(value) if field.repr}
    if isinstance(value, AbstractSet):
        return sorted(value)
    if isinstance(value, UUID):  # of the driver's own class
        return str(value)
    raise TypeError(f"{type(value).__name__} is no state of a subject")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
