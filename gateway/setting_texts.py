"""Texts of settings: how what an environment variable says is read and checked. Each function raises ValueError, which says what is wrong.

Values that were read before, or that code gives, are checked in the same way.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import orjson

MAX_PORT = 65_535
DEFAULT_PORTS = {"http": "80", "https": "443"}  # browsers leave them out of an origin

MIN_SECRET_BYTES = 32  # as many as the key that is made of it

T = TypeVar("T")

_YES, _NO = frozenset(("1", "true", "t", "yes", "y", "on")), frozenset(("0", "false", "f", "no", "n", "off"))
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@\s:\[\]]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?(?=[/?#]|$)")


class WrongParts(ValueError):
    """Parts of a value are wrong: for each the place, such as `[1].jwks_url`, and what is wrong there."""

    def __init__(self, parts: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{place}: {message}" for place, message in parts))
        self.parts = parts


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that is not shown where the object that holds it is printed."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Number:
    """Reads a number from `least` to `most`, a whole one where `kind` is int."""

    kind: type[int] | type[float]
    least: float
    most: float

    def __call__(self, value: Any) -> float:
        """Return the number that a text says, or a number itself."""
        number: Any = self._parsed(value) if isinstance(value, str) else value
        is_number = isinstance(number, (int, self.kind)) and not isinstance(number, bool)
        if not is_number or not self.least <= number <= self.most:  # as NaN is not
            what = "a whole number" if self.kind is int else "a number"
            raise ValueError(f"takes {what} from {self.least:,} to {self.most:,}")
        return self.kind(number)

    def _parsed(self, value: str) -> float | None:
        matched = _NUMBER.fullmatch(value.strip())
        if matched is None or (self.kind is int and not matched[0].lstrip("+-").isdecimal()):
            return None
        return self.kind(matched[0])


def is_set(value: Any) -> bool:
    """Return what a text such as `true` or `off` says, or a truth value itself."""
    said = str(value).lower()
    if said not in _YES | _NO:
        raise ValueError("is neither `true` nor `false`")
    return said in _YES


def one_of(*choices: str) -> Callable[[Any], str]:
    """Return what reads one of these texts."""

    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"is none of {', '.join(choices)}")
        return str(value)

    return read


def some_of(*choices: str) -> Callable[[Any], tuple[str, ...]]:
    """Return what reads a list of some of these texts, at least of one."""
    read = one_of(*choices)

    def read_all(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"lists none of {', '.join(choices)}")
        return tuple(map(read, value))

    return read_all


def text(value: Any) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("is no text, or an empty one")
    return value


def listed(value: Any) -> tuple[str, ...]:
    """Return the parts of a text that commas separate; parts that are separate as they are."""
    if not isinstance(value, str):
        return tuple(value)
    parts = tuple(part.strip() for part in value.split(",") if part.strip())
    if not parts:
        raise ValueError("lists nothing; leave it unset, or separate what it lists by commas")
    return parts


def objects_of(kind: Callable[..., T], value: Any) -> tuple[T, ...]:
    """Return the objects of a dataclass that a list of JSON objects says; those that are there as they are. Raises WrongParts, too."""
    given = _parsed(value) if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError("is no JSON list")  # noqa: TRY004 (as all of them raise)
    wrong, found = list[tuple[str, str]](), list[T]()
    for place, one in enumerate(given):
        try:
            found.append(_object_of(kind, one))
        except WrongParts as error:
            wrong += [(f"[{place}].{inside}", message) for inside, message in error.parts]
        except ValueError as error:
            wrong.append((f"[{place}]", str(error)))
    if wrong:
        raise WrongParts(wrong)
    return tuple(found)


def _object_of(kind: Any, given: Any) -> Any:
    if isinstance(given, kind):
        return given
    names = [each.name for each in fields(kind)]
    if not isinstance(given, dict) or not given.keys() <= set(names):
        raise ValueError(f"is no object of {', '.join(names)} alone")
    return kind(**given)


def _parsed(value: str) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}") from None


def is_host(text: str) -> bool:
    """Return whether a text is a host name, or an address (of IPv6 in brackets, as in a URL)."""
    try:
        return text.startswith("[") == (ip_address(text.strip("[]")).version == 6)  # of IPv6
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None


def listening_host(value: Any) -> str:
    """Return an address that can be listened on, that of IPv6 without brackets."""
    address = text(value).strip("[]")
    if not is_host(address.lower()) and not is_host(f"[{address.partition('%')[0]}]"):
        raise ValueError(
            f"{value!r} is no address: write such as '127.0.0.1', '::1' or '0.0.0.0'; the port is GATEWAY_PORT"
        )
    return address


def host_names(value: Any) -> tuple[str, ...]:
    """Return the names of hosts that a text lists by commas, each as `allowed_host` does."""
    return tuple(map(allowed_host, listed(value)))


def origins(value: Any) -> tuple[str, ...]:
    """Return the origins that a text lists by commas, each as `cors_origin` does."""
    return tuple(map(cors_origin, listed(value)))


def organization_code(value: Any) -> str:
    """Return the code of an organization."""
    if not re.fullmatch("[a-z][a-z0-9]{0,31}", value):
        raise ValueError("is a lower-case letter, then up to 31 lower-case letters and digits")
    return str(value)


def issuer_address(value: Any) -> str:
    """Return an address from which keys may be fetched: over TLS, or on this machine."""
    try:
        parts = urlsplit(text(value))
        port = parts.port
    except ValueError:
        raise ValueError("is no URL") from None
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"})
    if not (safe and parts.hostname and port != 0 and re.fullmatch("[!-~]+", value)):
        raise ValueError("is an address that begins with https://; http:// only on this machine")
    return str(value)


def secret(value: Any) -> Secret:
    """Return a text as a secret."""
    return value if isinstance(value, Secret) else Secret(text(value))


def signing_secret(value: Any) -> Secret:
    """Return a secret that is long enough to sign by."""
    found = secret(value)
    if len(found.text.encode(errors="replace")) < MIN_SECRET_BYTES:
        raise ValueError(f"needs at least {MIN_SECRET_BYTES} bytes")
    return found


def postgres_url(value: Any) -> Secret:
    """Return an address of Postgres, which may hold a password."""
    found = secret(value)
    if not is_postgres_url(found.text):
        raise ValueError(
            "is a URL such as postgresql://user:password@host:5432/database; inside a part, all but letters, digits and "
            ".-_~ is written as %XX"
        )
    return found


def allowed_host(name: str) -> str:
    """Return a host name in the form in which names are compared. Raises ValueError for one that no Host header can contain."""
    host = name.lower().removesuffix(".")
    if name == "*" or is_host(host.removeprefix("*.")) or is_host(f"[{host}]"):
        return f"[{host}]" if ":" in host and not host.startswith("[") else host
    before, _, port = host.rpartition(":")
    if port.isdecimal() and is_host(before):
        raise ValueError(f"{name!r} names a port, too: write {before!r}")
    raise ValueError(f"{name!r} is no name of a host: write such as 'api.example.com', '*.example.com' or '10.0.0.1'")


def cors_origin(origin: str) -> str:
    """Return an origin as browsers send it. Raises ValueError for a text that they never send."""
    if origin == "*":
        return origin
    lowered = origin.lower()
    matched = _ORIGIN.match(lowered)
    if matched is None or not is_host(matched[2]):
        raise ValueError(f"{origin!r} is no origin: write such as 'https://shop.example.com'")
    scheme, host, port = matched.groups()
    whole = f"{scheme}://{host}" + (f":{port}" if port and port != DEFAULT_PORTS.get(scheme) else "")
    if whole != lowered:
        raise ValueError(
            f"{origin!r} is more than an origin, which ends with its host, or a port of its own: write {whole!r}"
        )
    return whole


def data_directory(value: Any) -> Path:
    """Return the path of a directory with the home directory in it."""
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError("begins with the home directory of a user who is not known") from error


def is_postgres_url(address: str) -> bool:
    """Return whether a text is an address of Postgres, its parts escaped."""
    try:
        address.encode()
        parts = urlsplit(address)
        parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        return False
    credentials, _, hosts = parts.netloc.rpartition("@")
    ports = [host.rpartition("]")[2].partition(":")[2] for host in hosts.split(",")]
    ports_are_right = all(port.isdecimal() and 0 < int(port) <= MAX_PORT for port in ports if port)
    is_whole = ports_are_right and "@" not in credentials and not parts.fragment
    return is_whole and parts.scheme in {"postgresql", "postgres"}


def edges_of(value: Any) -> Mapping[str, Secret]:
    """Return addresses of edges by data centre, of a text `VA6=postgresql://…,OR2=…`."""
    if not isinstance(value, str):
        return {code: secret(address) for code, address in value.items()}
    pairs = [one.strip(", ").partition("=")[::2] for one in re.split(r",(?=\s*[A-Z]{2,3}[0-9]{1,2}=)", value)]
    if not all(re.fullmatch("[A-Z]{2,3}[0-9]{1,2}", code) and is_postgres_url(address) for code, address in pairs):
        raise ValueError("is data centres with addresses of Postgres, such as VA6=postgresql://user:password@host/edge")
    if len(dict(pairs)) < len(pairs):
        raise ValueError("names a data centre twice")
    return {code: Secret(address) for code, address in pairs}
