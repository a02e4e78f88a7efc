"""Every error that the gateway raises on purpose.

    GatewayError                 code INTERNAL: never shown, only its correlation id
    ├── Unauthenticated          who are you? (401, 403 or 400 as the model system numbers it)
    ├── Forbidden                you may not
    ├── BadInput                 the request itself is wrong; the caller mends it
    │   ├── BadCursor            a cursor of another list, or a broken one
    │   ├── BadSelector          a selector that does not parse (has line and column)
    │   └── LimitExceeded        more than a documented limit
    ├── Timeout                  the request ran past its time limit
    ├── Unavailable              the database cannot be reached now; try again
    ├── Misconfigured            a row of the sandbox's configuration is broken; the message names it
    ├── ClusterError             the embedded Postgres cannot run here; for the operator's eyes
    ├── SchemaError              the database's schema is not the one that this gateway wants; for the operator's eyes
    ├── SettingsError            a setting is wrong; for the operator's eyes
    └── UserFault                a mutation's `userErrors`: never a top-level error
        ├── Invalid              a broken rule          ├── NotFound   an unknown id
        ├── Conflict             clashes with another   ├── Taken      a name in use
        ├── TooMany              a limit on the number  └── Stale      someone changed it first

A top-level error carries `extensions.code`; a user fault becomes `UserError {code, message, path, line, column}`.
"""

from collections.abc import Sequence


class GatewayError(Exception):
    """Something broke inside. The caller learns a correlation id and nothing else."""

    code = "INTERNAL"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    @property
    def message(self) -> str:
        return str(self.args[0])


class Unauthenticated(GatewayError):
    """The caller did not prove who it is."""

    code = "UNAUTHENTICATED"

    def __init__(self, message: str | None = None, *, status: int = 401, error_code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code


class Forbidden(GatewayError):
    """The caller is known and may not do this."""

    code = "FORBIDDEN"


class BadInput(GatewayError):
    """The request is wrong; the message says where and how to mend it."""

    code = "BAD_INPUT"


class BadCursor(BadInput):
    """The cursor does not belong to this list and order."""

    code = "BAD_CURSOR"


class BadSelector(BadInput):
    """The selector does not parse."""

    code = "BAD_SELECTOR"

    def __init__(self, message: str, *, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class LimitExceeded(BadInput):
    """More than a documented limit."""

    code = "LIMIT_EXCEEDED"


class Timeout(GatewayError):
    """The request ran past its time limit."""

    code = "TIMEOUT"


class Unavailable(GatewayError):
    """The database cannot be reached now; try again."""

    code = "UNAVAILABLE"


class Misconfigured(GatewayError):
    """Something in the sandbox's configuration is broken; the message names it. An administrator has to mend it."""

    code = "MISCONFIGURED"


class ClusterError(GatewayError):
    """The embedded Postgres cannot run here; the message tells the operator what to do."""


class SchemaError(GatewayError):
    """The database's schema is not the one that this gateway wants; the message names both and says what to do."""


class SettingsError(GatewayError):
    """A setting is wrong; the message names it and says how to mend it."""


class UserFault(GatewayError):
    """A mutation could not be done for a reason that the caller can mend."""

    code = "INVALID"

    def __init__(
        self,
        message: str | None = None,
        *,
        path: Sequence[str] = (),
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        super().__init__(message)
        self.path = list(path)
        self.line = line
        self.column = column


class Invalid(UserFault):
    """A rule is broken."""

    code = "INVALID"


class NotFound(UserFault):
    """No such thing in this sandbox."""

    code = "NOT_FOUND"


class Conflict(UserFault):
    """It clashes with something that exists."""

    code = "CONFLICT"


class Taken(UserFault):
    """The name is in use."""

    code = "TAKEN"


class TooMany(UserFault):
    """A limit on the number of such things is reached."""

    code = "LIMIT_EXCEEDED"


class Stale(UserFault):
    """Someone changed it first; read it again."""

    code = "STALE"
