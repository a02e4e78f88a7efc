"""Probes for operators that every process answers alike."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from gateway.server.http.responses import json_answer

READY_TIMEOUT_SECONDS = 3  # probes do not wait longer


async def alive(_: Request) -> Response:
    """Respond that the process runs. Nothing else is checked, as a restart would not bring a lost database back."""
    return json_answer({"status": "alive"})


def not_ready(reason: str) -> Response:
    """Return the response of a process that cannot serve requests now."""
    return json_answer({"status": "not ready", "reason": reason}, HTTPStatus.SERVICE_UNAVAILABLE)
