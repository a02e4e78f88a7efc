"""What a mutation answers: the thing it changed, and `userErrors` where the caller can mend what went wrong.

A fault that the caller can mend never comes as a top-level error of a mutation. What it cannot mend by another input does: a missing
scope, a database that is away, a bug.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

import strawberry

from gateway.api.context import Context, Info, resolved_by
from gateway.api.scalars import described
from gateway.errors import BadInput, BadSelector, LimitExceeded, TooMany, UserFault


class UserErrorCode(StrEnum):
    """Why a mutation was refused."""

    INVALID = "INVALID"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    TAKEN = "TAKEN"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    FORBIDDEN = "FORBIDDEN"
    STALE = "STALE"


described(
    UserErrorCode,
    "UserErrorCode",
    "Why a mutation was refused, for programs; `message` says it to people.",
    INVALID="A rule is broken: the message says which, the path where.",
    NOT_FOUND="No object of this sandbox has the given id.",
    CONFLICT="It clashes with something that exists, or with the state it is in.",
    TAKEN="Another object has this name or code already.",
    LIMIT_EXCEEDED="More than a documented limit allows.",
    FORBIDDEN="This one object may not be touched by the caller.",
    STALE="Someone changed the object after it was read: read it again and decide anew.",
)


@strawberry.type(description="Something in a mutation's input that the caller can mend. Nothing was changed.")
class UserError:
    code: UserErrorCode = strawberry.field(description="The kind of fault, for programs to decide on.")
    message: str = strawberry.field(description="What is wrong and how to mend it, as a sentence for people.")
    path: list[str] | None = strawberry.field(
        description="Names of the input's fields down to the one at fault; null where no single field is."
    )
    line: int | None = strawberry.field(
        description="Line of the fault inside a text such as a selector, from 1; null elsewhere."
    )
    column: int | None = strawberry.field(
        description="Column of the fault inside that line, from 1; null where `line` is."
    )


@dataclass(frozen=True, slots=True)
class Fault:
    """A `UserError`'s values."""

    code: UserErrorCode
    message: str
    path: list[str] | None
    line: int | None
    column: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Behind every payload: what the verb gave back, or None and what was wrong."""

    changed: Any
    user_errors: list[Fault] = field(default_factory=list)


INPUT = strawberry.argument(name="input", description="What to do, and to which object.")


def mutation(resolver: Callable[[Context, Any], Awaitable[Any]], description: str, *, configures: bool = False) -> Any:
    """A mutation's field, its payload type the annotation beside it. `configures`: it changes the sandbox's configuration."""

    async def answer(info: Info, given: Any) -> Answer:
        try:
            changed = await resolver(info.context, given)
        except (UserFault, BadInput) as error:
            return Answer(None, [_fault(error)])
        await info.context.renew(configuration=configures)
        return Answer(changed)

    input_type = resolver.__annotations__["given"]
    answer.__annotations__["given"] = Annotated[input_type, INPUT]
    return resolved_by(answer, description)


def changed(description: str) -> Any:
    """The payload's field for what the mutation changed; null where it did not."""
    return resolved_by(_changed, description)


def user_errors() -> Any:
    """The payload's field for what was wrong."""
    return strawberry.field(description="What the caller can mend; empty where the mutation was done.")


def _changed(answer: strawberry.Parent[Answer]) -> Any:
    return answer.changed


@strawberry.input(description="An object to be deleted.")
class DeleteInput:
    id: strawberry.ID = strawberry.field(description="The object to delete.")


@strawberry.type(description="What was deleted, or why it was not.")
class DeletePayload:
    deleted_id: strawberry.ID | None = changed("The id of what is gone now; null where nothing was done.")
    user_errors: list[UserError] = user_errors()


@contextmanager
def top_level(*argument: str) -> Iterator[None]:
    """What the caller of a query can mend in an argument, as an error of the request: a query has no `userErrors` to say where it is."""
    try:
        yield
    except UserFault as fault:
        error = LimitExceeded if isinstance(fault, TooMany) else BadInput
        raise error(f"{'.'.join([*argument, *fault.path])}: {fault.message}") from fault


def _fault(error: UserFault | BadInput) -> Fault:
    match error:
        case UserFault():
            return Fault(UserErrorCode(error.code), error.message, error.path or None, error.line, error.column)
        case BadSelector():
            return Fault(UserErrorCode.INVALID, error.message, None, error.line, error.column)
        case LimitExceeded():
            return Fault(UserErrorCode.LIMIT_EXCEEDED, error.message, None, None, None)
    return Fault(UserErrorCode.INVALID, error.message, None, None, None)
