"""Settings, read once from environment variables: `GATEWAY_PORT=8080` sets `port`.

Only `cli` and `server` use them; code below gets its configuration as arguments. A test compares the table in `docs/operations.md` with them.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from gateway.domain.rules.limits import ATTRIBUTES, ServiceLimit
from gateway.domain.rules.names import camel_case
from gateway.errors import SettingsError
from gateway.postgres.directories import default_data_dir
from gateway.setting_texts import (
    MAX_PORT,
    Number,
    Secret,
    WrongParts,
    data_directory,
    edges_of,
    host_names,
    is_set,
    issuer_address,
    listed,
    listening_host,
    objects_of,
    one_of,
    organization_code,
    origins,
    postgres_url,
    signing_secret,
    some_of,
    text,
)

PREFIX = "GATEWAY_"
MIN_LIKENESS = (
    0.85  # of 1, of a name that is taken for a misspelt one; Kubernetes sets others, such as GATEWAY_PORT_80_TCP
)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
OWN_ISSUER = "profile-gateway"  # issuer and audience of our own tokens
MAX_EMBEDDED_CONNECTIONS = 5_000  # of all processes together to the embedded Postgres, which keeps memory for each
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")  # that need no shared secret


@dataclass(frozen=True, slots=True)
class Limit:
    """Marks a setting that bounds what callers can make the gateway do; `serviceLimits` lists it in `unit`, with `per` of these in the setting's own."""

    unit: str
    per: int = 1


TIME, DAYS = Limit("milliseconds", 1_000), Limit("milliseconds", 86_400_000)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of one setting. `read` takes the text of its variable, or a value, and returns the value; it raises ValueError for a wrong one."""

    read: Callable[[Any], Any]
    description: str
    limit: Limit | None = None


def _set(read: Callable[[Any], Any], default: Any, description: str, limit: Limit | None = None) -> Any:
    """Return the field of a setting. A callable `default` makes the default."""
    told: dict[str, Any] = {"metadata": {"setting": Setting(read, description, limit)}}
    return field(default_factory=default, **told) if callable(default) else field(default=default, **told)


def _seconds(default: float, description: str) -> Any:
    """Return the field of a duration of a millisecond to a day."""
    return _set(Number(float, 0.001, 86_400), default, description, TIME)


def _days(default: float, least: float, description: str) -> Any:
    """Return the field of a number of days, up to a century."""
    return _set(Number(float, least, 36_500), default, description, DAYS)


def _count(default: int, least: int, most: int, unit: str, description: str) -> Any:
    """Return the field of a limit of so many."""
    return _set(Number(int, least, most), default, description, Limit(unit))


def _read_all(settings: Any) -> None:
    """Replace every value by what its setting reads it as. Raises WrongParts, which names those that are wrong."""
    wrong: list[tuple[str, str]] = []
    for each in fields(settings):
        value = getattr(settings, each.name)
        if value is None and each.default is None:
            continue
        try:
            object.__setattr__(settings, each.name, each.metadata["setting"].read(value))
        except WrongParts as error:
            wrong += [(f"{each.name}{place}", message) for place, message in error.parts]
        except ValueError as error:
            wrong.append((each.name, str(error)))
    if wrong:
        raise WrongParts(wrong)


def _foreign_issuer(value: Any) -> str:
    if (name := text(value)) == OWN_ISSUER:
        raise ValueError(f"{OWN_ISSUER!r} is the issuer of our own tokens")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIssuer:
    """Another issuer of tokens: its public keys are fetched from `jwks_url`, and only these algorithms are accepted."""

    issuer: str = _set(_foreign_issuer, "", "The claim `iss` of its tokens.")
    audience: str = _set(text, "", "The claim `aud` of its tokens.")
    jwks_url: str = _set(issuer_address, "", "Where its public keys are.")
    algorithms: tuple[str, ...] = _set(some_of(*ALGORITHMS), ("RS256",), "What may have signed its tokens.")

    def __post_init__(self) -> None:
        """Check all fields. Raises WrongParts."""
        _read_all(self)


def _issuers(value: Any) -> tuple[TokenIssuer, ...]:
    issuers: tuple[TokenIssuer, ...] = objects_of(TokenIssuer, value)
    names = [one.issuer for one in issuers]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"names the issuer {repeated[0]!r} more than once")
    return issuers


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one gateway. Raises SettingsError, which names the variables that are wrong."""

    host: str = _set(listening_host, "127.0.0.1", "Address to listen on.")
    port: int = _set(Number(int, 0, MAX_PORT), 8000, "Port to listen on; 0 takes a free one.")
    data_dir: Path = _set(
        data_directory, default_data_dir, "Directory of the embedded Postgres and of the credentials."
    )
    database_url: Secret | None = _set(
        postgres_url, None, "Address of a Postgres of your own (15 or newer); the embedded one is not started then."
    )
    database_connections: int = _count(
        10, 2, 1_000, "connections", "Most connections that one process opens to Postgres, besides one to listen on."
    )
    edge_database_url: Secret | None = _set(
        postgres_url,
        None,
        "Address of a Postgres of your own for `gateway edge`; the embedded one is not started then.",
    )
    edge_wait_seconds: float = _seconds(
        2, "How long a look-up at an edge waits for what the edge lacks, while the hub is there."
    )
    listen_url: Secret | None = _set(
        postgres_url,
        None,
        "Address of Postgres itself, to listen for notifications, where `GATEWAY_DATABASE_URL` is a pooler's.",
    )
    statement_cache: int = _set(
        Number(int, 0, 100_000),
        200,
        "Prepared statements kept per connection, each up to half a megabyte in Postgres; 0 says that a pooler in transaction mode stands in front of it.",
    )
    edges: Mapping[str, Secret] = _set(
        edges_of,
        dict,
        "Edges that projections are delivered to, by commas: a data centre and the address of its edge's Postgres.",
    )
    organization: str = _set(
        organization_code,
        "local",
        "Code of the organization that the first start creates and the command line works in.",
    )
    workers: int = _set(Number(int, 1, 256), 1, "Server processes, best one per core; `/metrics` speaks for all.")
    run_jobs: bool = _set(is_set, True, "Do jobs in the server processes too; else `gateway worker` has to run.")
    short_jobs: int = _count(
        2, 1, 100, "jobs", "Jobs on a selection, such as an aborted batch, that one process does at once."
    )
    long_jobs: int = _count(
        1, 1, 100, "jobs", "Jobs on everybody, such as building a merge policy, that one process does at once."
    )
    job_days: float = _days(30, 0, "How many days jobs that ended can be seen.")
    error_days: float = _days(
        30,
        0,
        "How many days refused documents are kept with what is wrong with them, and warnings since they were last raised.",
    )
    revert_days: float = _days(
        30,
        1,
        "How many days complete batches of records can be reverted; then versions that they replaced are kept no longer.",
    )
    change_days: float = _days(7, 0.01, "How many days changes of people can be followed.")
    search_index_days: float = _days(
        30,
        1,
        "How many days an index for searches, or the values of a computed attribute, are kept that no search uses.",
    )
    preview_days: float = _days(365, 0, "How many days the daily report of a preview can be read.")
    computed_attributes: int = _count(
        25, 1, ATTRIBUTES, "attributes", "Computed attributes of a sandbox that may be published."
    )
    export_locations: tuple[str, ...] = _set(
        listed,
        (),
        "Beginnings of URLs below which exports may be written, by commas, as in `s3://backups/profiles`; else only below `exports/` in the data directory.",
    )
    export_days: float = _days(7, 0.01, "How many days the files of an export are kept.")
    export_spool_gb: float = _set(
        Number(float, 0.001, 100_000),
        20,
        "Gigabytes of people that an export may read before they are in files.",
        Limit("bytes", 1_000_000_000),
    )
    jwt_secret: Secret | None = _set(
        signing_secret,
        None,
        "Secret of the Ed25519 key of our own tokens, at least 32 random bytes, `ed25519:` in front; else one is made in the data directory.",
    )
    jwt_former_secret: Secret | None = _set(
        signing_secret,
        None,
        "The secret that `GATEWAY_JWT_SECRET` has replaced: its tokens are valid until they expire.",
    )
    jwt_issuers: tuple[TokenIssuer, ...] = _set(
        _issuers, (), 'Other issuers as a JSON list of `{"issuer", "audience", "jwks_url", "algorithms"}`.'
    )
    jwt_leeway_seconds: float = _set(
        Number(float, 0, 600),
        30,
        "How far the clocks of those who issue tokens may differ from ours: for `iat`, `nbf` and `exp`.",
    )
    allowed_hosts: tuple[str, ...] = _set(
        host_names, (), "Names that a request's Host may have, by commas; on a loopback address, its own names, too."
    )
    cors_origins: tuple[str, ...] = _set(origins, (), "Origins whose pages may call the API, by commas.")
    console: bool = _set(is_set, True, "Serve GraphiQL at `/graphiql`.")
    request_seconds: float = _seconds(
        30,
        "Time limit of a GraphQL request, of its body, of one SQL statement, of connecting to Postgres, and of each line of a stream.",
    )
    connections: int = _count(
        1000,
        1,
        1_000_000,
        "connections",
        "Most connections that clients have to one process; fewer where it may not open as many files.",
    )
    head_seconds: float = _seconds(10, "How long the head of a request may take to arrive.")
    idle_seconds: float = _seconds(75, "How long a connection is kept for the next request.")
    read_seconds: float = _seconds(30, "How long a client may read slower than 10 kB/s what is sent to it.")
    requests_at_once: int = _count(
        32,
        1,
        10_000,
        "operations",
        "Operations that one process works on at once, at most three quarters of them for one sandbox.",
    )
    requests_waiting: int = _count(
        1000,
        1,
        1_000_000,
        "operations",
        "Operations that wait for their turn, at most half of them for one sandbox; others are refused with 503.",
    )
    streams: int = _count(
        32,
        1,
        10_000,
        "streams",
        "Streams of documents into one process at once, at most half of them into one sandbox; others are refused with 503.",
    )
    stream_bytes: int = _count(
        10_000_000_000, 1, 10**15, "bytes", "Most bytes of one stream or file of documents, packed or not."
    )
    stream_failures: int = _count(
        10_000, 0, 10**9, "documents", "Failed documents that a stream or file may have; it ends with one more."
    )
    stream_commit_seconds: float = _seconds(
        1, "How long whole lines of a stream wait for others before they are committed."
    )
    answer_bytes: int = _count(
        32_000_000, 100_000, 1_000_000_000, "bytes", "Bytes that the answer to a GraphQL request may have, about."
    )
    drain_seconds: float = _seconds(
        20, "How long running requests may go on after SIGTERM; then they get 503, within 3 seconds."
    )
    log_level: str = _set(one_of("debug", "info", "warning", "error"), "info", "Least level of what is logged.")

    def __post_init__(self) -> None:
        """Check all of them, by themselves and together. Raises SettingsError."""
        try:
            _read_all(self)
        except WrongParts as error:
            raise SettingsError("; ".join(f"{_variable(place)}: {message}" for place, message in error.parts)) from None
        if self.database_url is None and self.workers * self.database_connections > MAX_EMBEDDED_CONNECTIONS:
            raise SettingsError(
                "GATEWAY_WORKERS times GATEWAY_DATABASE_CONNECTIONS is more than the "
                f"{MAX_EMBEDDED_CONNECTIONS:,} connections that the embedded Postgres takes"
            )

    @property
    def service_limits(self) -> tuple[ServiceLimit, ...]:
        """The settings that are marked as a Limit, as `serviceLimits` lists them."""
        return tuple(
            ServiceLimit(
                _listed_name(name), round(getattr(self, name) * one.limit.per), one.limit.unit, one.description
            )
            for name, one in SETTINGS.items()
            if one.limit is not None
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


SETTINGS: Final[Mapping[str, Setting]] = {each.name: each.metadata["setting"] for each in fields(Settings)}
"""What is known of each setting, by its name."""


def _listed_name(name: str) -> str:
    """Return a setting's name in `serviceLimits`: `request_seconds` is `requestTime`."""
    return camel_case(re.sub("_(seconds|days)$", "_time", name))


def _variable(place: str) -> str:
    """Return the variable of a setting, and the place in it, as a message names them."""
    name = place.partition(".")[0].partition("[")[0]
    return f"{PREFIX}{name.upper()}{place.removeprefix(name)}"


def read_settings(**options: Any) -> Settings:
    """Return the settings of the environment, overridden by options that are not None. Raises SettingsError, which names the variable.

    Upper and lower case of variables make no difference, and an empty one counts as unset.
    """
    _check_spelling(os.environ)
    variables = {name.upper(): value for name, value in os.environ.items() if value}
    names = {name: _variable(name) for name in SETTINGS}
    given = {name: variables[variable] for name, variable in names.items() if variable in variables}
    chosen = {name: value for name, value in options.items() if value is not None}
    return Settings(**given | chosen)


def _check_spelling(names: Iterable[str]) -> None:
    """Raise SettingsError for a variable that looks like a misspelt setting; other programs may use our prefix too."""
    known = set(map(_variable, SETTINGS))
    for name in sorted(map(str.upper, names)):
        if name.startswith(PREFIX) and name not in known:
            settings = [one.removeprefix(PREFIX) for one in known]
            if like := get_close_matches(name.removeprefix(PREFIX), settings, 1, MIN_LIKENESS):
                raise SettingsError(f"{name} is no setting. Did you mean {PREFIX}{like[0]}?")
