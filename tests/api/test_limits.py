"""The list of limits says what holds, and the documents say the same."""

import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path

from client import Client

import gateway
from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Operations
from gateway.api.limits import SERVICE_LIMITS, operation_limits
from gateway.api.schema import build_schema
from gateway.domain.rules import limits
from gateway.server.http.docs import read_document
from gateway.server.http.process_limits import PROCESS_LIMITS
from gateway.settings import Settings, read_settings
from gateway.xdm import bounds

TOLD = (*SERVICE_LIMITS, *operation_limits(Limits()), *PROCESS_LIMITS, *read_settings().service_limits)
ROOMS = ("api", "domain", "pql", "xdm", "server/http", "server/streams")
MOST = re.compile(r"^(MAX_[A-Z_]+)(?:: Final)? = ", re.MULTILINE)
INWARD = re.compile(r"INLINE|CACHED|SUGGESTIONS|SHARED_LOADERS|HELD|LOOP|UNREAD|FAULT_CHARACTERS|NUMBER|EXACT|SURVEYED")
"""Words in the names of bounds that no caller can meet: on caches, on turns of the event loop, on what messages repeat."""
INTERNAL = {
    "ingestion.MAX_ATTEMPTS", "sandboxes.MAX_ATTEMPTS", "ingestion.MAX_CONCURRENT_CHUNKS", "leases.MAX_WAIT_SECONDS",
    "admission.MAX_BODY_UNITS", "admission.MAX_BODY_UNITS_SHARE", "profiles.MAX_NODES", "admission.MAX_PROBES", "parsing.MAX_LINES_OF_LONG_STEPS", "ndjson.MAX_CHUNK_BYTES",
    "batch_files.MAX_LISTED_FAILURES", "export_throttle.MAX_PAUSE_SECONDS",
}  # fmt: skip
"""Others, which share work out and refuse nothing."""


def most_of_rooms():
    """Yield the name and value of each constant that bounds something."""
    root = Path(gateway.__file__).parent
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*.py")):
        module = import_module(".".join(("gateway", *path.relative_to(root).with_suffix("").parts)))
        for name in MOST.findall(path.read_text("utf-8")):
            yield f"{path.stem}.{name}", getattr(module, name)


def test_each_limit_has_a_name_of_its_own_and_says_what_it_counts():
    names = [limit.name for limit in TOLD]
    assert len(set(names)) == len(names)
    for limit in TOLD:
        assert re.fullmatch("[a-z][A-Za-z]+", limit.name)
        assert limit.value > 0
        assert limit.description.endswith(".")


def test_every_limit_on_how_many_and_on_custom_fields_is_listed():
    listed = {limit.value for limit in SERVICE_LIMITS}
    for module in (limits, bounds):
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, int):
                assert value in listed, name


def test_every_bound_is_listed_or_known_to_refuse_nothing():
    listed = {limit.value for limit in TOLD}
    bounds = dict(most_of_rooms())
    assert len(bounds) > 70
    missing = {
        name
        for name, value in bounds.items()
        if not set(value.values() if isinstance(value, dict) else [value]) <= listed
    }
    assert {name for name in missing if not INWARD.search(name)} - INTERNAL == set()
    assert bounds.keys() >= INTERNAL


def test_every_limit_of_an_operation_is_listed_with_the_value_that_holds():
    odd = Limits(**{each.name: 1_000_003 + place for place, each in enumerate(fields(Limits))})
    of_settings = {"answer_bytes", "seconds"}
    expected = {getattr(odd, each.name) for each in fields(Limits) if each.name not in of_settings}
    assert {limit.value for limit in operation_limits(odd)} == expected
    assert {"answerBytes", "requestTime"} <= {limit.name for limit in read_settings().service_limits}


def spellings(limit):
    """The ways in which a document may write the limit's value."""
    sizes = {1_000: "kB", 1_000_000: "MB"} if limit.unit == "bytes" else {}
    sizes |= {1 << 10: "kB", 1 << 20: "MB"} if limit.unit == "bytes" else {}
    return {
        f"{limit.value:,}",
        *(f"{limit.value // size:,} {name}" for size, name in sizes.items() if not limit.value % size),
    }


def test_the_documents_name_the_same_numbers():
    texts = " ".join(
        read_document(name).text.partition("\n## Limits")[2]
        for name in ("admin", "ingest", "pql", "frontend", "operations")
    )
    texts = texts.replace(", ", " ; ")
    constants = (*SERVICE_LIMITS, *operation_limits(Limits()), *PROCESS_LIMITS)
    missing = {
        limit.name: limit.value
        for limit in constants
        if not any(re.search(rf"(?<![0-9,]){re.escape(text)}(?![0-9,])", texts) for text in spellings(limit))
    }
    assert missing == {}


async def test_limits_need_a_scope_that_reads_the_configuration(client):
    data = await client.data("{ serviceLimits { name value unit description } }", scopes=["profile:read"])
    assert len(data["serviceLimits"]) == len(SERVICE_LIMITS) + len(operation_limits(Limits()))
    error = await client.error("{ serviceLimits { name } }", scopes=["profile:write"])
    assert error["extensions"]["code"] == "FORBIDDEN"


async def test_limits_of_settings_have_the_values_that_are_set(client):
    world, settings = client.world, Settings(stream_bytes=12_345)
    given = (world.db, world.configurations, build_schema(), Limits(depth=7))
    told = await Client(world, Operations(*given, process_limits=settings.service_limits)).data(
        "{ serviceLimits { name value } }"
    )
    values = {limit["name"]: limit["value"] for limit in told["serviceLimits"]}
    assert (values["streamBytes"], values["operationDepth"]) == (12_345, 7)
