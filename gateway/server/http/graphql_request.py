"""GraphQL requests as HTTP carries them: a body of JSON, or the parameters of an address."""

from typing import Any, Final

import orjson
from starlette.datastructures import QueryParams

from gateway.api.execution.operations import Request
from gateway.api.execution.unreadable import is_readable
from gateway.errors import BadInput, LimitExceeded
from gateway.server.http.lenient_json import read_leniently

KINDS: Final = {"query": str, "variables": dict, "extensions": dict, "operationName": str}
MAX_JSON_VALUES: Final = 500_000  # each takes some sixty bytes of memory, up to twenty times its text


async def request_of_body(body: bytes) -> Request:
    """Return the request in a body, whose documents may hold values that cannot be stored. Raises BadInput, LimitExceeded, Unavailable."""
    try:
        return _request_of(_parse(body, "The body"))
    except BadInput as refused:
        if not isinstance(refused.__cause__, orjson.JSONDecodeError):
            raise
        try:
            request = _request_of(await read_leniently(body, refused.__cause__))
        except orjson.JSONDecodeError:
            raise refused from None
        if not is_readable([request.query, request.operation_name]):
            raise
        return request._replace(unreadable=refused.message)


def request_of_parameters(query_string: bytes) -> Request:
    """Return the request in the parameters of an address; empty ones count as absent. Raises BadInput, LimitExceeded."""
    values: dict[str, Any] = {name: value for name, value in QueryParams(query_string).items() if value}
    for name in ("variables", "extensions"):
        if name in values:
            values[name] = _parse(values[name].encode(), f"`{name}`")
    return _request_of(values)


def _request_of(values: Any) -> Request:
    """Return the request of parsed JSON; unknown keys are ignored, as the specification says. Raises BadInput."""
    if isinstance(values, list):
        raise BadInput("Send one operation in a request; several in a list are not run.")
    if not isinstance(values, dict):
        raise BadInput("The body is an object with `query`, `variables` and `operationName`.")
    if not isinstance(values.get("query"), str):
        raise BadInput("`query` is missing, or not a text.")
    for name, value in values.items():
        kind = KINDS.get(name)
        if kind is not None and value is not None and type(value) is not kind:
            raise BadInput(f"`{name}` is neither null nor {'a text' if kind is str else 'an object'}.")
    return Request(values["query"], values.get("variables"), values.get("operationName") or None)


def _parse(text: bytes, what: str) -> Any:
    """Return the value of a JSON text, called `what` in messages. Raises BadInput; LimitExceeded for more than MAX_JSON_VALUES."""
    if len(text) > MAX_JSON_VALUES and sum(map(text.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise LimitExceeded(f"{what} has more than {MAX_JSON_VALUES:,} values.")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{what} is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from error
