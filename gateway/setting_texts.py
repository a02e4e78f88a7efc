"""Texts of settings: how what an environment variable says is read and checked. Each function raises ValueError, which says what is wrong."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

MAX_PORT = 65_535
DEFAULT_PORTS = {"http": "80", "https": "443"}  # browsers leave them out of an origin

_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@\s:\[\]]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?(?=[/?#]|$)")


def listed(value: Any) -> Any:
    """Return the parts of a text that commas separate; anything else as it is."""
    if not isinstance(value, str):
        return value
    parts = tuple(part.strip() for part in value.split(",") if part.strip())
    if not parts:
        raise ValueError("lists nothing; leave it unset, or separate what it lists by commas")
    return parts


def parsed(value: Any) -> Any:
    """Return the JSON value that a text is; anything else as it is."""
    try:
        return orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}") from None


def is_host(text: str) -> bool:
    """Return whether a text is a host name, or an address (of IPv6 in brackets, as in a URL)."""
    try:
        return text.startswith("[") == (ip_address(text.strip("[]")).version == 6)  # of IPv6
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None


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


def directory(path: Path) -> Path:
    """Return the path of a directory with the home directory in it."""
    try:
        return path.expanduser()
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


def edges_of(value: Any) -> Any:
    """Return addresses of edges by data centre, of a text `VA6=postgresql://…,OR2=…`."""
    if not isinstance(value, str):
        return value
    pairs = [one.strip(", ").partition("=")[::2] for one in re.split(r",(?=\s*[A-Z]{2,3}[0-9]{1,2}=)", value)]
    if not all(re.fullmatch("[A-Z]{2,3}[0-9]{1,2}", code) and is_postgres_url(address) for code, address in pairs):
        raise ValueError("is data centres with addresses of Postgres, such as VA6=postgresql://user:password@host/edge")
    if len(dict(pairs)) < len(pairs):
        raise ValueError("names a data centre twice")
    return dict(pairs)
