"""The log's lines: whole, in order, and out as soon as the loop has done what was to be done at once."""

import asyncio
import io
import logging
import sys
from select import PIPE_BUF

import orjson
import pytest
import structlog

from gateway.server import logs
from gateway.telemetry import RequestServed


class Stream(io.RawIOBase):
    """Notes what is written at once."""

    def __init__(self):
        super().__init__()
        self.writes = []

    def writable(self):
        return True

    def write(self, given):
        self.writes.append(bytes(given))
        return len(given)


@pytest.fixture(params=[io.BufferedWriter, lambda raw: raw], ids=["buffered", "unbuffered"])
def stream(monkeypatch, request):
    """The stream of log lines during the test."""
    made, root = Stream(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(request.param(made)))
    monkeypatch.setattr(logs, "_lines", logs._Lines())
    logs.configure_logs("info")
    yield made
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def told(stream):
    return [orjson.loads(line) for line in b"".join(stream.writes).splitlines()]


async def test_lines_of_requests_that_end_at_once_are_written_at_once(stream):
    for number in range(3):
        logs.log_observation(RequestServed("/graphql", "POST", 200 + number, 0.0123))
    await asyncio.sleep(0)
    assert len(stream.writes) == 1
    logs.log_observation(RequestServed("/graphql", "POST", 503, 0.5))
    await asyncio.sleep(0)
    assert [(line["event"], line["level"], line["status"], line["ms"]) for line in told(stream)] == [
        ("request", "info", 200, 12.3),
        ("request", "info", 201, 12.3),
        ("request", "info", 202, 12.3),
        ("request", "warning", 503, 500.0),
    ]


async def test_lines_go_in_pieces_that_a_pipe_takes_whole(stream):
    for _ in range(100):
        logs.log_observation(RequestServed("/graphql", "POST", 200, 0.1))
    await asyncio.sleep(0)
    assert len(told(stream)) == 100
    assert all(len(each) <= PIPE_BUF and each.endswith(b"\n") for each in stream.writes)


async def test_probes_are_left_out(stream):
    logs.log_observation(RequestServed("/healthz", "GET", 200, 0.1))
    logs.log_observation(RequestServed("/healthz", "GET", 503, 0.1))
    await asyncio.sleep(0)
    assert [line["status"] for line in told(stream)] == [503]
