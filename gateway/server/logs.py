"""The log: one JSON object a line on stderr, or coloured text where stderr is a terminal. stdout is for results of commands.

Nothing here names a person. A request is logged by its route, never by its document, variables or body; of an error its type and where
it was raised, never its message: database errors quote rows, and validation errors quote values.
"""

import asyncio
import logging
import sys
import traceback
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from select import PIPE_BUF
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from gateway.runtime.late import late
from gateway.telemetry import (
    AttributesComputed,
    ConfigurationBroken,
    ConnectionRefused,
    EdgeChanged,
    EdgeLookedUp,
    EmbeddedPostgres,
    FaultMasked,
    IssuerKeysFetched,
    JobLeft,
    ListenerChanged,
    Observation,
    OperationRan,
    ProjectionTokenIssued,
    RequestServed,
    StatementRan,
    TransactionRestarted,
    correlation_id,
)

if TYPE_CHECKING:
    import structlog
else:
    structlog = late("structlog")  # most commands log nothing

PROBES = {"/healthz", "/metrics", "/readyz"}  # requested every few seconds by machines
FREQUENT = {StatementRan, OperationRan, AttributesComputed, EdgeLookedUp, ProjectionTokenIssued}  # metrics count them
MAX_FRAMES = 12  # of a stack, the innermost ones

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@dataclass(slots=True)
class _Lines:
    """Lines of JSON for requests, written to `out`, which is None where the log is text for people.

    Lines of requests that end in one turn of the event loop are written together after it, in writes of at most PIPE_BUF bytes, which stay
    whole where other processes write too. `has_changed`: whether structlog does not know `out` and `level` yet.
    """

    out: BinaryIO | None = None
    level: int = logging.INFO
    has_changed: bool = False
    held: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, line: bytes) -> None:
        """Hold a line until the turn of the event loop is over, or no more fits into one write."""
        if self.size + len(line) > PIPE_BUF:
            self.write()
        if not self.held:
            asyncio.get_running_loop().call_soon(self.write)
        self.held.append(line)
        self.size += len(line)

    def write(self) -> None:
        """Write the lines that are held."""
        if self.out is not None and self.held:
            self.out.write(b"".join(self.held))
            self.out.flush()
        self.held, self.size = [], 0


_lines = _Lines()


def configure_logs(level: str) -> None:
    """Send log lines of the gateway and of libraries to stderr, from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OfLibraries())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    # Ours do not go through `logging`, where a line takes several times as long.
    _lines.out, _lines.level = None if sys.stderr.isatty() else sys.stderr.buffer, LEVELS[level]
    _lines.has_changed = True


class _OfLibraries(logging.Formatter):
    """Makes lines of what libraries log that look like ours."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return self._formatter.format(record)

    @cached_property
    def _formatter(self) -> logging.Formatter:
        last = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _text_renderer()]
        return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_processors(), processors=last)


def _log() -> Any:
    """Return what writes all lines but those of requests."""
    if _lines.has_changed:
        _lines.has_changed = False
        factory: Any
        renderer: Any
        if _lines.out is None:
            factory, renderer = structlog.PrintLoggerFactory(sys.stderr), structlog.dev.ConsoleRenderer()
        else:
            factory, renderer = structlog.BytesLoggerFactory(_lines.out), structlog.processors.JSONRenderer(_json)
        structlog.configure(
            processors=[*_processors(), renderer],
            wrapper_class=structlog.make_filtering_bound_logger(_lines.level),
            logger_factory=factory,
            cache_logger_on_first_use=False,
        )
    return structlog.get_logger("gateway")


def _processors() -> list[Any]:
    timed = structlog.processors.TimeStamper(fmt="iso", utc=True)
    return [structlog.processors.add_log_level, timed, _name_error]


def log_observation(observation: Observation) -> None:
    """Log an observation, unless it is so frequent that only metrics count it."""
    if type(observation) is RequestServed:
        _log_request(observation)
    elif type(observation) not in FREQUENT:
        _log_event(observation)


def _log_event(observation: Observation) -> None:
    match observation:
        case FaultMasked(error):
            _log().error("unexpected error", request_id=correlation_id.get(), exc_info=error)
        case ConnectionRefused(reason):
            _log().error("database connection refused", request_id=correlation_id.get(), reason=reason)
        case IssuerKeysFetched(issuer, reason, seconds):
            level = logging.INFO if reason is None else logging.WARNING
            _log().log(level, "issuer keys", issuer=issuer, failed=reason, ms=round(seconds * 1000, 1))
        case ConfigurationBroken(sandbox_id, message):
            _log().error("configuration error", sandbox=sandbox_id, message=message)
        case EmbeddedPostgres(state, seconds, reason):
            level = {"lost": logging.WARNING, "recovered": logging.INFO, "failed": logging.ERROR}[state]
            _log().log(level, "embedded postgres", state=state, reason=reason, ms=round(seconds * 1000, 1))
        case ListenerChanged(state, reason):
            _log().log(logging.INFO if reason is None else logging.WARNING, "listener", state=state, reason=reason)
        case EdgeChanged(data_center, state, reason):
            level = logging.INFO if reason is None else logging.WARNING
            _log().log(level, "edge", data_center=data_center, state=state, reason=reason)
        case JobLeft(kind, outcome, seconds):
            _log().info("job", request_id=correlation_id.get(), kind=kind, outcome=outcome, ms=round(seconds * 1000, 1))
        case TransactionRestarted(reason, attempt):
            _log().debug("transaction restarted", reason=reason, attempt=attempt)


def _log_request(served: RequestServed) -> None:
    level = "warning" if served.status >= 500 else "debug" if served.route in PROBES else "info"
    line = {
        "request_id": correlation_id.get(),
        "route": served.route,
        "method": served.method,
        "status": served.status,
        "ms": round(served.seconds * 1000, 1),
    }
    if _lines.out is None:
        _log().log(LEVELS[level], "request", **line)
    elif LEVELS[level] >= _lines.level:
        line |= {"event": "request", "level": level, "timestamp": datetime.now(UTC)}
        _lines.add(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z))


def _text_renderer() -> Any:
    if sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.JSONRenderer(serializer=lambda event, **more: _json(event, **more).decode())


def _json(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=str)


def _name_error(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["error"] = error_description(error)
    return event


def error_description(error: BaseException) -> list[dict[str, Any]]:
    """Return the error and its causes: type, where it was raised, and for errors of the database their code and constraint."""
    chain: list[dict[str, Any]] = []
    link: BaseException | None = error
    while link is not None and len(chain) < MAX_FRAMES:
        kind = type(link)
        places = traceback.extract_tb(link.__traceback__)[-MAX_FRAMES:]
        known = {name: getattr(link, name, None) for name in ("sqlstate", "constraint_name")}
        chain.append(
            {
                "type": f"{kind.__module__}.{kind.__qualname__}",
                "at": [f"{place.filename}:{place.lineno} {place.name}" for place in places],
                **{name: value for name, value in known.items() if value},
            }
        )
        link = link.__cause__ or link.__context__
    return chain
