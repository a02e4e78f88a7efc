"""Settings, read once from environment variables: `GATEWAY_PORT=8080` sets `port`.

Only `cli` and `server` use them; code below gets its configuration as arguments. A test compares the table in `docs/operations.md` with them.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from gateway.domain.rules.limits import ATTRIBUTES, ServiceLimit
from gateway.domain.rules.names import camel_case
from gateway.errors import SettingsError
from gateway.postgres.directories import default_data_dir
from gateway.setting_texts import (
    MAX_PORT,
    allowed_host,
    cors_origin,
    directory,
    edges_of,
    is_host,
    is_postgres_url,
    listed,
    parsed,
)

PREFIX = "GATEWAY_"
MIN_LIKENESS = (
    0.85  # of 1, of a name that is taken for a misspelt one; Kubernetes sets others, such as GATEWAY_PORT_80_TCP
)
MIN_SECRET_BYTES = 32  # as many as the key that is made of it
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
OWN_ISSUER = "profile-gateway"  # issuer and audience of our own tokens
MAX_EMBEDDED_CONNECTIONS = 5_000  # of all processes together to the embedded Postgres, which keeps memory for each
Listed = Annotated[tuple[str, ...], BeforeValidator(listed)]
"""Texts separated by commas."""


def _each(check: Callable[[str], str]) -> AfterValidator:
    return AfterValidator(lambda values: tuple(map(check, values)))


@dataclass(frozen=True, slots=True)
class Limit:
    """Marks a setting that bounds what callers can make the gateway do; `serviceLimits` lists it in `unit`, with `per` of these in the setting's own."""

    unit: str
    per: int = 1


Seconds = Annotated[float, Field(ge=0.001, le=86_400, allow_inf_nan=False), Limit("milliseconds", 1_000)]
"""A duration of a millisecond to a day."""


Days = Annotated[float, Field(le=36_500, allow_inf_nan=False), Limit("milliseconds", 86_400_000)]
"""A number of days, up to a century."""


class TokenIssuer(BaseModel):
    """Another issuer of tokens: its public keys are fetched from `jwks_url`, and only these algorithms are accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    jwks_url: str
    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"], ...] = Field(
        ("RS256",), min_length=1
    )

    @field_validator("issuer")
    @classmethod
    def _is_not_ours(cls, value: str) -> str:
        if value == OWN_ISSUER:
            raise ValueError(f"{OWN_ISSUER!r} is the issuer of our own tokens")
        return value

    @field_validator("jwks_url")
    @classmethod
    def _is_a_safe_address(cls, value: str) -> str:
        try:
            parts, port = urlsplit(value), urlsplit(value).port
        except ValueError:
            raise ValueError("is no URL") from None
        safe = parts.scheme == "https" or (
            parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
        )
        if not (safe and parts.hostname and port != 0 and re.fullmatch("[!-~]+", value)):
            raise ValueError("is an address that begins with https://; http:// only on this machine")
        return value


class Settings(BaseModel):
    """The settings of one gateway."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=MAX_PORT, description="Port to listen on; 0 takes a free one.")
    data_dir: Annotated[Path, AfterValidator(directory)] = Field(
        default_factory=default_data_dir, description="Directory of the embedded Postgres and of the credentials."
    )
    database_url: SecretStr | None = Field(
        None, description="Address of a Postgres of your own (15 or newer); the embedded one is not started then."
    )
    database_connections: Annotated[int, Limit("connections")] = Field(
        10, ge=2, le=1_000, description="Most connections that one process opens to Postgres, besides one to listen on."
    )
    edge_database_url: SecretStr | None = Field(
        None, description="Address of a Postgres of your own for `gateway edge`; the embedded one is not started then."
    )
    edge_tls_certificate: Path | None = Field(
        None,
        description="File of the certificate, and of those that vouch for it, by which `gateway edge --listen` takes deliveries by TLS alone.",
    )
    edge_tls_key: Path | None = Field(None, description="File of the certificate's key, without a passphrase.")
    edge_wait_seconds: Seconds = Field(
        2, description="How long a look-up at an edge waits for what the edge lacks, while the hub is there."
    )
    listen_url: SecretStr | None = Field(
        None,
        description="Address of Postgres itself, to listen for notifications, where `GATEWAY_DATABASE_URL` is a pooler's.",
    )
    statement_cache: int = Field(
        200,
        ge=0,
        le=100_000,
        description="Prepared statements kept per connection, each up to half a megabyte in Postgres; 0 says that a pooler in transaction mode stands in front of it.",
    )
    edges: Annotated[Mapping[str, SecretStr], BeforeValidator(edges_of)] = Field(
        {},
        description="Edges that projections are delivered to, by commas: a data centre and the address of its edge's Postgres.",
    )
    organization: str = Field(
        "local", description="Code of the organization that the first start creates and the command line works in."
    )
    workers: int = Field(1, ge=1, le=256, description="Server processes, best one per core; `/metrics` speaks for all.")
    run_jobs: bool = Field(
        default=True, description="Do jobs in the server processes too; else `gateway worker` has to run."
    )
    short_jobs: Annotated[int, Limit("jobs")] = Field(
        2, ge=1, le=100, description="Jobs on a selection, such as an aborted batch, that one process does at once."
    )
    long_jobs: Annotated[int, Limit("jobs")] = Field(
        1,
        ge=1,
        le=100,
        description="Jobs on everybody, such as building a merge policy, that one process does at once.",
    )
    job_days: Days = Field(30, ge=0, description="How many days jobs that ended can be seen.")
    error_days: Days = Field(
        30,
        ge=0,
        description="How many days refused documents are kept with what is wrong with them, and warnings since they were last raised.",
    )
    revert_days: Days = Field(
        30,
        ge=1,
        description="How many days complete batches of records can be reverted; then versions that they replaced are kept no longer.",
    )
    change_days: Days = Field(7, ge=0.01, description="How many days changes of people can be followed.")
    search_index_days: Days = Field(
        30,
        ge=1,
        description="How many days an index for searches, or the values of a computed attribute, are kept that no search uses.",
    )
    preview_days: Days = Field(365, ge=0, description="How many days the daily report of a preview can be read.")
    computed_attributes: Annotated[int, Limit("attributes")] = Field(
        25, ge=1, le=ATTRIBUTES, description="Computed attributes of a sandbox that may be published."
    )
    export_locations: Listed = Field(
        (),
        description="Beginnings of URLs below which exports may be written, by commas, as in `s3://backups/profiles`; else only below `exports/` in the data directory.",
    )
    export_days: Days = Field(7, ge=0.01, description="How many days the files of an export are kept.")
    export_spool_gb: Annotated[float, Field(allow_inf_nan=False), Limit("bytes", 1_000_000_000)] = Field(
        20, ge=0.001, le=100_000, description="Gigabytes of people that an export may read before they are in files."
    )
    jwt_secret: SecretStr | None = Field(
        None,
        description="Secret of the Ed25519 key of our own tokens, at least 32 random bytes, `ed25519:` in front; else one is made in the data directory.",
    )
    jwt_former_secret: SecretStr | None = Field(
        None, description="The secret that `GATEWAY_JWT_SECRET` has replaced: its tokens are valid until they expire."
    )
    jwt_issuers: Annotated[tuple[TokenIssuer, ...], BeforeValidator(parsed)] = Field(
        (), description='Other issuers as a JSON list of `{"issuer", "audience", "jwks_url", "algorithms"}`.'
    )
    jwt_leeway_seconds: float = Field(
        30,
        ge=0,
        le=600,
        allow_inf_nan=False,
        description="How far the clocks of those who issue tokens may differ from ours: for `iat`, `nbf` and `exp`.",
    )
    allowed_hosts: Annotated[Listed, _each(allowed_host)] = Field(
        (), description="Names that a request's Host may have, by commas; on a loopback address, its own names, too."
    )
    cors_origins: Annotated[Listed, _each(cors_origin)] = Field(
        (), description="Origins whose pages may call the API, by commas."
    )
    console: bool = Field(default=True, description="Serve GraphiQL at `/graphiql`.")
    request_seconds: Seconds = Field(
        30,
        description="Time limit of a GraphQL request, of its body, of one SQL statement, of connecting to Postgres, and of each line of a stream.",
    )
    connections: Annotated[int, Limit("connections")] = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Most connections that clients have to one process; fewer where it may not open as many files.",
    )
    head_seconds: Seconds = Field(10, description="How long the head of a request may take to arrive.")
    idle_seconds: Seconds = Field(75, description="How long a connection is kept for the next request.")
    read_seconds: Seconds = Field(30, description="How long a client may read slower than 10 kB/s what is sent to it.")
    requests_at_once: Annotated[int, Limit("operations")] = Field(
        32,
        ge=1,
        le=10_000,
        description="Operations that one process works on at once, at most three quarters of them for one sandbox.",
    )
    requests_waiting: Annotated[int, Limit("operations")] = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Operations that wait for their turn, at most half of them for one sandbox; others are refused with 503.",
    )
    streams: Annotated[int, Limit("streams")] = Field(
        32,
        ge=1,
        le=10_000,
        description="Streams of documents into one process at once, at most half of them into one sandbox; others are refused with 503.",
    )
    stream_bytes: Annotated[int, Limit("bytes")] = Field(
        10_000_000_000, gt=0, le=10**15, description="Most bytes of one stream or file of documents, packed or not."
    )
    stream_failures: Annotated[int, Limit("documents")] = Field(
        10_000, ge=0, le=10**9, description="Failed documents that a stream or file may have; it ends with one more."
    )
    stream_commit_seconds: Seconds = Field(
        1, description="How long whole lines of a stream wait for others before they are committed."
    )
    answer_bytes: Annotated[int, Limit("bytes")] = Field(
        32_000_000,
        ge=100_000,
        le=1_000_000_000,
        description="Bytes that the answer to a GraphQL request may have, about.",
    )
    drain_seconds: Seconds = Field(
        20, description="How long running requests may go on after SIGTERM; then they get 503, within 3 seconds."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level of what is logged."
    )

    @field_validator("host")
    @classmethod
    def _can_be_listened_on(cls, value: str) -> str:
        address = value.strip("[]")
        if not is_host(address.lower()) and not is_host(f"[{address.partition('%')[0]}]"):
            raise ValueError(
                f"{value!r} is no address: write such as '127.0.0.1', '::1' or '0.0.0.0'; the port is GATEWAY_PORT"
            )
        return address

    @field_validator("organization")
    @classmethod
    def _is_a_code(cls, value: str) -> str:
        if not re.fullmatch("[a-z][a-z0-9]{0,31}", value):
            raise ValueError("is a lower-case letter, then up to 31 lower-case letters and digits")
        return value

    @field_validator("database_url", "edge_database_url", "listen_url")
    @classmethod
    def _is_a_postgres_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not is_postgres_url(value.get_secret_value()):
            raise ValueError(
                "is a URL such as postgresql://user:password@host:5432/database; inside a part, all but letters, digits and "
                ".-_~ is written as %XX"
            )
        return value

    @field_validator("jwt_secret", "jwt_former_secret")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode(errors="replace")) < MIN_SECRET_BYTES:
            raise ValueError(f"needs at least {MIN_SECRET_BYTES} bytes")
        return value

    @field_validator("jwt_issuers")
    @classmethod
    def _each_once(cls, value: tuple[TokenIssuer, ...]) -> tuple[TokenIssuer, ...]:
        repeated = [name for name, times in Counter(one.issuer for one in value).items() if times > 1]
        if repeated:
            raise ValueError(f"names the issuer {repeated[0]!r} more than once")
        return value

    @model_validator(mode="after")
    def _fit_into_the_embedded_postgres(self) -> "Settings":
        if self.database_url is None and self.workers * self.database_connections > MAX_EMBEDDED_CONNECTIONS:
            raise ValueError(
                "GATEWAY_WORKERS times GATEWAY_DATABASE_CONNECTIONS is more than the "
                f"{MAX_EMBEDDED_CONNECTIONS:,} connections that the embedded Postgres takes"
            )
        return self

    @model_validator(mode="after")
    def _has_a_key_for_the_certificate(self) -> "Settings":
        files = {"GATEWAY_EDGE_TLS_KEY": self.edge_tls_key, "GATEWAY_EDGE_TLS_CERTIFICATE": self.edge_tls_certificate}
        missing, given = sorted(files, key=lambda name: files[name] is not None)
        if (files[missing] is None) != (files[given] is None):
            raise ValueError(f"{given} is set without {missing}")
        return self

    @property
    def service_limits(self) -> tuple[ServiceLimit, ...]:
        """The settings that are marked as a Limit, as `serviceLimits` lists them."""
        return tuple(
            ServiceLimit(_listed_name(name), round(getattr(self, name) * mark.per), mark.unit, field.description or "")
            for name, field in type(self).model_fields.items()
            for mark in field.metadata
            if isinstance(mark, Limit)
        )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names that the Host of a request may have. On a loopback address, other names are refused: a page may point its own name there."""
        return (*self.allowed_hosts, *LOOPBACK_NAMES) if self.is_loopback else self.allowed_hosts or ("*",)


def _listed_name(name: str) -> str:
    """Return a setting's name in `serviceLimits`: `request_seconds` is `requestTime`."""
    return camel_case(re.sub("_(seconds|days)$", "_time", name))


def read_settings(**options: Any) -> Settings:
    """Return the settings of the environment, overridden by options that are not None. Raises SettingsError, which names the variable.

    Upper and lower case of variables make no difference, and an empty one counts as unset.
    """
    _check_spelling(os.environ)
    variables = {name.upper(): value for name, value in os.environ.items() if value}
    names = {name: f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    given = {name: variables[variable] for name, variable in names.items() if variable in variables}
    chosen = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given | chosen)
    except ValidationError as error:
        raise SettingsError("; ".join(map(_problem, error.errors()))) from None


def _check_spelling(names: Iterable[str]) -> None:
    """Raise SettingsError for a variable that looks like a misspelt setting; other programs may use our prefix too."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in sorted(map(str.upper, names)):
        if name.startswith(PREFIX) and name not in known:
            settings = [one.removeprefix(PREFIX) for one in known]
            if like := get_close_matches(name.removeprefix(PREFIX), settings, 1, MIN_LIKENESS):
                raise SettingsError(f"{name} is no setting. Did you mean {PREFIX}{like[0]}?")


def _problem(error: Any) -> str:
    """Return one error as text: the variable, the place in it and the message, which quotes no value that may be secret."""
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return str(message)  # it names the variables itself
    name, *inside = error["loc"]
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in inside)
    return f"GATEWAY_{str(name).upper()}{place}: {message}"
