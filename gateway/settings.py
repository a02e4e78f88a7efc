"""Everything that can be set from outside, read once from environment variables: `GATEWAY_PORT=8080` sets `port`.

Only `cli` and `server` see these; below them configuration arrives as arguments. The table in the README is held against this class.
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gateway.errors import SettingsError
from gateway.storage.directories import default_data_dir

SECRET_BYTES = 32  # RFC 7518: a key of HS256 is at least as long as the hash
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def _listed(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _parsed(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str) else value


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


class TokenIssuer(BaseModel):
    """Someone else whose tokens are taken: its keys are fetched, and only the named algorithms count for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    jwks_url: str = Field(
        pattern=r"^(https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/])"
    )  # keys that nobody swaps on the way
    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"], ...] = ("RS256",)


class Settings(BaseSettings):
    """How one gateway runs."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", env_ignore_empty=True, frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(
        default_factory=default_data_dir, description="Directory of the embedded Postgres and of the credentials."
    )
    database_url: SecretStr | None = Field(
        None, description="Address of a Postgres of your own (15 or newer); the embedded one is not started then."
    )
    database_connections: int = Field(10, ge=2, description="Most connections that one process opens to Postgres.")
    statement_cache: int = Field(
        200,
        ge=0,
        description="Prepared statements kept per connection, each up to half a megabyte in Postgres; 0 behind a pooler in transaction mode.",
    )
    organization: str = Field(
        "local", description="Code of the organization that the first start creates and the command line works in."
    )
    workers: int = Field(1, ge=1, description="Server processes, best one per core; `/metrics` speaks for all.")
    run_jobs: bool = Field(
        default=True, description="Do jobs in the server processes too; else `gateway worker` has to run."
    )
    jwt_secret: SecretStr | None = Field(
        None, description="Secret of our own HS256 tokens, at least 32 bytes; else one is made in the data directory."
    )
    jwt_issuers: Annotated[tuple[TokenIssuer, ...], NoDecode, BeforeValidator(_parsed)] = Field(
        (), description='Other issuers as a JSON list of `{"issuer", "audience", "jwks_url", "algorithms"}`.'
    )
    jwt_leeway_seconds: float = Field(
        30,
        ge=0,
        le=600,
        allow_inf_nan=False,
        description="How far the clocks of those who issue tokens may differ from ours: for `iat`, `nbf` and `exp`.",
    )
    allowed_hosts: Listed = Field(
        (), description="Names that a request's Host may have, by commas; on a loopback address, only its own names."
    )
    cors_origins: Listed = Field((), description="Origins whose pages may call the API, by commas.")
    console: bool = Field(default=True, description="Serve GraphiQL at `/graphiql`.")
    request_seconds: float = Field(
        30, gt=0, description="Time limit of a GraphQL request, of one SQL statement, and between two pieces of a body."
    )
    drain_seconds: float = Field(20, gt=0, description="How long running requests may go on after SIGTERM.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level of what is logged."
    )

    @field_validator("jwt_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < SECRET_BYTES:
            raise ValueError(f"needs at least {SECRET_BYTES} bytes")
        return value

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names that the Host of a request may have: pages that point a name of theirs at a loopback address get nothing."""
        return self.allowed_hosts or (LOOPBACK_NAMES if self.is_loopback else ("*",))


def read_settings(**given: Any) -> Settings:
    """The settings of the environment, with those given (not None) on top. Raises SettingsError, naming the variable."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults = [f"GATEWAY_{fault['loc'][0]}".upper() + f": {fault['msg']}" for fault in error.errors()]
        raise SettingsError("; ".join(faults)) from None
