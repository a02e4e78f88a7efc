"""Mutations and their payloads: the object that was changed, and `userErrors` for mistakes that the caller can mend.

A mistake that another input would mend is never a top-level error of a mutation. All else is: a missing scope, an unavailable
database, a bug.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import strawberry

from gateway.api.context import Context, Info, plain, resolved_by
from gateway.api.scalars import described
from gateway.domain.config.configuration import Configuration
from gateway.domain.rules.scope import Permission
from gateway.domain.work.jobs import Started
from gateway.errors import BadInput, BadPql, BadSelector, LimitExceeded, TooMany, UserFault


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
    is_loaded = False

    code: UserErrorCode = plain("The kind of fault, for programs to decide on.")
    message: str = plain("What is wrong and how to mend it, as a sentence for people.")
    path: list[str] | None = plain(
        "Names of the input's fields down to the one at fault; null where no single field is."
    )
    line: int | None = plain("Line of the fault inside a text such as a selector, from 1; null elsewhere.")
    column: int | None = plain("Column of the fault inside that line, from 1; null where `line` is.")


@dataclass(frozen=True, slots=True)
class MutationError:
    """The values of a `UserError`."""

    code: UserErrorCode
    message: str
    path: list[str] | None
    line: int | None
    column: int | None


@dataclass(frozen=True, slots=True)
class MutationResult:
    """The domain object behind every payload: what the verb returned, or None and the errors; and the job that it started, if any."""

    changed: Any
    user_errors: list[MutationError] = field(default_factory=list)
    job_id: UUID | None = None


INPUT = strawberry.argument(name="input", description="What to do, and to which object.")


def mutation(
    resolver: Callable[[Context, Any], Awaitable[Any]],
    needs: Permission,
    description: str,
    *,
    configures: bool = False,
) -> Any:
    """Return a mutation's field, whose payload type is the annotation in the class.

    The caller must have the permission that it `needs`, or gets FORBIDDEN before anything of the input is looked up. `configures`: the
    mutation changes the sandbox's configuration, so that it is read again for the fields of the payload.
    """

    async def answer(info: Info, given: Any) -> MutationResult:
        info.context.scope.require(needs)
        try:
            done = await resolver(info.context, given)
        except (UserFault, BadInput) as error:
            return MutationResult(None, [_fault(error)])
        await info.context.renew(configuration=configures)
        return MutationResult(done.changed, job_id=done.job_id) if isinstance(done, Started) else MutationResult(done)

    input_type = resolver.__annotations__["given"]
    answer.__annotations__["given"] = Annotated[input_type, INPUT]
    return resolved_by(answer, description)


def changed(description: str) -> Any:
    """Return the payload's field that shows the changed object; null where nothing was changed."""
    return resolved_by(_changed, description)


def warnings_by(warn: Callable[[Configuration, Any], list[str]], description: str) -> Any:
    """Return the payload's field of sentences about the changed object, beside the configuration as it is now; of nothing there are none."""

    def warnings(answer: strawberry.Parent[MutationResult], info: Info) -> list[str]:
        return [] if answer.changed is None else warn(info.context.config, answer.changed)

    return resolved_by(warnings, description)


def user_errors() -> Any:
    """Return the payload's field that lists what was wrong."""
    return plain("What the caller can mend; empty where the mutation was done.")


def _changed(answer: strawberry.Parent[MutationResult]) -> Any:
    return answer.changed


def changes_of(required: Mapping[str, Any], nullable: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that an input changes: the `required` ones that are not null, and the `nullable` ones that are not left out."""
    given = {name: value for name, value in required.items() if value is not None}
    return given | {name: value for name, value in nullable.items() if value is not strawberry.UNSET}


def current_version() -> Any:
    """Return the input's field that guards a change against what the caller has not seen."""
    return plain(
        "The `version` that the caller has read: where there is another by now, the answer is STALE and nothing is done. Left out, it is done at any version.",
        default=None,
    )


@strawberry.input(description="An object to be deleted.")
class DeleteInput:
    id: strawberry.ID = plain("The object to delete.")
    current_version: int | None = current_version()


@strawberry.type(description="What was deleted, or why it was not.")
class DeletePayload:
    deleted_id: strawberry.ID | None = changed("The id of what is gone now; null where nothing was done.")
    user_errors: list[UserError] = user_errors()


@contextmanager
def query_errors(*argument: str) -> Iterator[None]:
    """Turn a UserFault inside the block into BadInput or LimitExceeded, naming the argument and the path: queries have no `userErrors`."""
    try:
        yield
    except UserFault as fault:
        error = LimitExceeded if isinstance(fault, TooMany) else BadInput
        raise error(f"{'.'.join([*argument, *fault.path])}: {fault.message}") from fault


def _fault(error: UserFault | BadInput) -> MutationError:
    match error:
        case UserFault():
            return MutationError(UserErrorCode(error.code), error.message, error.path or None, error.line, error.column)
        case BadSelector() | BadPql():
            return MutationError(UserErrorCode.INVALID, error.message, None, error.line, error.column)
        case LimitExceeded():
            return MutationError(UserErrorCode.LIMIT_EXCEEDED, error.message, None, None, None)
    return MutationError(UserErrorCode.INVALID, error.message, None, None, None)
