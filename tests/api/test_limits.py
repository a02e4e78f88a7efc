"""The list of limits says what holds, and the documents say the same."""

import re

from gateway.api.limits import SERVICE_LIMITS
from gateway.domain.rules import limits
from gateway.server.http.docs import read_document
from gateway.xdm import bounds


def test_each_limit_has_a_name_of_its_own_and_says_what_it_counts():
    names = [limit.name for limit in SERVICE_LIMITS]
    assert len(set(names)) == len(names)
    for limit in SERVICE_LIMITS:
        assert re.fullmatch("[a-z][A-Za-z]+", limit.name)
        assert limit.value > 0
        assert limit.description.endswith(".")


def test_every_limit_on_how_many_and_on_custom_fields_is_listed():
    listed = {limit.value for limit in SERVICE_LIMITS}
    for module in (limits, bounds):
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, int):
                assert value in listed, name


def test_the_documents_name_the_same_numbers():
    section = read_document("admin").text.partition("\n## Limits\n")[2]
    for name, value in vars(limits).items():
        if name.isupper() and isinstance(value, int):
            assert re.search(rf"(?<![0-9,]){value:,}(?![0-9,])", section.replace(", ", " ; ")), name


async def test_limits_need_a_scope_that_reads_the_configuration(client):
    data = await client.data("{ serviceLimits { name value unit description } }", scopes=["profile:read"])
    assert len(data["serviceLimits"]) == len(SERVICE_LIMITS)
    error = await client.error("{ serviceLimits { name } }", scopes=["profile:write"])
    assert error["extensions"]["code"] == "FORBIDDEN"
