"""Every error that the gateway raises on purpose.

    GatewayError                 code INTERNAL: never shown, only its correlation id
    ├── Unauthenticated          no valid credentials (401, 403 or 400, as in Adobe's API)
    ├── Forbidden                the caller lacks the permission
    ├── BadInput                 the request itself is wrong; the caller mends it
    │   ├── BadCursor            a cursor of another list, or no cursor at all
    │   ├── CursorExpired        a cursor of changes that are kept no longer, or of before a restore
    │   ├── BadSelector          a selector that does not parse (has line and column)
    │   ├── BadPql               an expression that does not parse or does not fit the schema (has line and column)
    │   └── LimitExceeded        more than a documented limit
    │       └── AnswerTooLarge   … on the size of the answer: an error of the operation, not of the field that exceeded it
    ├── Timeout                  the request ran past its time limit
    │   └── SlowSender           the sender took longer than it may (408)
    ├── Unavailable              the database cannot be reached now; try again
    │   ├── Contended            others changed the same rows at the same moment; try again
    │   └── Vanished             what one statement found was removed before another looked for it; try again
    ├── Misconfigured            a row of the sandbox's configuration is broken; the message names it
    ├── StatementFailed          Postgres refused a statement, for a reason that no verb expects
    │   ├── ConstraintViolated   … because of a constraint that says nothing to a caller (see CONSTRAINTS)
    │   └── Unstorable           … because of a value: a number out of range, text that is none, a row too wide
    ├── ClusterError             the embedded Postgres cannot run here; for the operator's eyes
    ├── DatabaseRefused          the database does not let the gateway in; for the operator's eyes
    ├── SchemaError              the database's schema is not the one that this gateway wants; for the operator's eyes
    ├── SettingsError            a setting is wrong; for the operator's eyes
    └── UserFault                a mutation's `userErrors`: never a top-level error
        ├── Invalid              a broken rule          ├── NotFound   an unknown id
        ├── Conflict             clashes with another   ├── Taken      a name in use
        │   └── JobOpen          … with a job that has not ended; has its `job_id`
        ├── TooMany              a limit on the number  └── Stale      someone changed it first

A top-level error carries `extensions.code`; a user fault becomes `UserError {code, message, path, line, column}`.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID


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


class CursorExpired(BadInput):
    """What lies behind the cursor is not kept any more; begin anew."""

    code = "CURSOR_EXPIRED"


class BadSelector(BadInput):
    """The selector does not parse."""

    code = "BAD_SELECTOR"

    def __init__(self, message: str, *, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class BadPql(BadInput):
    """The expression does not parse, or does not fit the schema."""

    code = "BAD_PQL"

    def __init__(self, message: str, *, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class LimitExceeded(BadInput):
    """More than a documented limit."""

    code = "LIMIT_EXCEEDED"


class AnswerTooLarge(LimitExceeded):
    """The answer would be larger than it may be; ask for less."""


class Timeout(GatewayError):
    """The request ran past its time limit."""

    code = "TIMEOUT"


class SlowSender(Timeout):
    """The request did not arrive in time."""


class Unavailable(GatewayError):
    """The database cannot be reached now; try again."""

    code = "UNAVAILABLE"


class Vanished(Unavailable):
    """Something that one statement of a request found was removed before another looked for it. The request is read again, at one moment."""

    def __init__(self) -> None:
        super().__init__("What was being read was removed meanwhile; try again.")


class Misconfigured(GatewayError):
    """Something in the sandbox's configuration is broken; the message names it. An administrator has to mend it."""

    code = "MISCONFIGURED"


class Contended(Unavailable):
    """Others changed the same rows at the same moment; try again."""


class StatementFailed(GatewayError):
    """Postgres refused a statement. `condition` is its name for the reason, `sqlstate` its code, if it was asked at all."""

    def __init__(self, message: str | None = None, *, condition: str = "", sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.condition = condition
        self.sqlstate = sqlstate


class ConstraintViolated(StatementFailed):
    """A row breaks a constraint or an index, mostly because another writer was first. `constraint` is its name."""

    def __init__(self, constraint: str, *, condition: str = "", sqlstate: str | None = None) -> None:
        super().__init__(f"The constraint {constraint} is violated.", condition=condition, sqlstate=sqlstate)
        self.constraint = constraint


class Unstorable(StatementFailed):
    """A value cannot be stored: a number out of range, text that is none, a nesting too deep, a row too wide."""


class ClusterError(GatewayError):
    """The embedded Postgres cannot run here; the message tells the operator what to do."""


class DatabaseRefused(GatewayError):
    """The database does not let the gateway in, and would not the next time either; the message says what the server said."""


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


class JobOpen(Conflict):
    """A job that has not ended is in the way. `job_id` is the job, and `does` what it does: the verb of a sentence about it."""

    def __init__(self, job_id: UUID, does: str = "does this already", *, path: Sequence[str] = ()) -> None:
        super().__init__(f"A job {does}; wait for its end.", path=path)
        self.job_id, self.does = job_id, does


class Taken(UserFault):
    """The name is in use."""

    code = "TAKEN"


class TooMany(UserFault):
    """A limit on the number of such things is reached."""

    code = "LIMIT_EXCEEDED"


class Stale(UserFault):
    """Someone changed it first; read it again."""

    code = "STALE"


_GONE = "The sandbox has just been deleted."

CONSTRAINTS: Mapping[str, tuple[type[UserFault], str, tuple[str, ...]]] = {
    "organization_code_key": (Taken, "There is an organization with this code already.", ("code",)),
    "organization_code_shape": (Invalid, "A code is a lower-case letter, then up to 31 letters and digits.", ("code",)),
    "sandbox_name_key": (Taken, "There is a sandbox of this name already.", ("name",)),
    "sandbox_name_shape": (
        Invalid,
        "A name is a lower-case letter, then up to 63 letters, digits and hyphens.",
        ("name",),
    ),
    "sandbox_organization_id_fkey": (NotFound, "The organization has just been deleted.", ()),
    "api_key_organization_id_fkey": (NotFound, "The organization has just been deleted.", ()),
    "revocation_organization_id_fkey": (NotFound, "The organization has just been deleted.", ()),
    "audit_entry_organization_id_fkey": (NotFound, "The organization has just been deleted.", ()),
    "namespace_code_key": (Taken, "There is a namespace with this code already.", ("code",)),
    "xdm_schema_title_key": (Taken, "There is a schema with this title already.", ("title",)),
    "dataset_name_key": (Taken, "There is a dataset of this name already.", ("name",)),
    "dataset_schema_fkey": (NotFound, "There is no schema with this id.", ("schemaId",)),
    "preview_report_policy_fkey": (NotFound, "The merge policy has just been deleted.", ()),
    "batch_dataset_fkey": (NotFound, "There is no dataset with this id.", ("datasetId",)),
    "ingest_error_batch_fkey": (NotFound, "The batch has just been deleted.", ("batchId",)),
    "merge_policy_name_key": (Taken, "There is a policy of this name already.", ("name",)),
    "merge_policy_default_key": (Stale, "Another policy has just become the default one; read it again.", ()),
    "merge_policy_edge_key": (Stale, "Another policy has just become the one of edges; read it again.", ()),
    "computed_attribute_name_plain": (Invalid, "A name is a letter, then letters and digits.", ("name",)),
    "computed_attribute_name_key": (Taken, "There is a computed attribute of this name already.", ("name",)),
    "computed_attribute_sandbox_id_fkey": (NotFound, _GONE, ()),
    "projection_configuration_name_key": (Taken, "There is a projection of this name already.", ("name",)),
    "projection_configuration_sandbox_id_destination_id_fkey": (
        NotFound,
        "The destination has just been deleted.",
        ("destinationId",),
    ),
    "projection_configuration_sandbox_id_fkey": (NotFound, _GONE, ()),
    "projection_destination_sandbox_id_fkey": (NotFound, _GONE, ()),
    "namespace_sandbox_id_fkey": (NotFound, _GONE, ()),
    "identity_settings_sandbox_id_fkey": (NotFound, _GONE, ()),
    "xdm_schema_sandbox_id_fkey": (NotFound, _GONE, ()),
    "dataset_sandbox_id_fkey": (NotFound, _GONE, ()),
    "batch_sandbox_id_fkey": (NotFound, _GONE, ()),
    "ingestion_warning_sandbox_id_fkey": (NotFound, _GONE, ()),
    "merge_policy_sandbox_id_fkey": (NotFound, _GONE, ()),
    "job_sandbox_id_fkey": (NotFound, _GONE, ()),
    "search_index_path_key": (Taken, "There is an index over this path already.", ("path",)),
    "search_index_sandbox_id_fkey": (NotFound, _GONE, ()),
    "kept_attribute_sandbox_id_fkey": (NotFound, _GONE, ()),
    "search_index_sandbox_id_policy_id_fkey": (NotFound, "The merge policy has just been deleted.", ("mergePolicyId",)),
}
"""For each constraint and unique index: the class, message and path of the error that a caller gets when a row breaks it."""
