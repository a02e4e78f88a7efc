"""The list of limits says what holds, and the README says the same."""

import re
from pathlib import Path

from gateway.api.limits import SERVICE_LIMITS
from gateway.domain import limits
from gateway.xdm import bounds

README = Path(__file__).parents[2] / "README.md"


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


def test_the_readme_names_the_same_numbers():
    section = README.read_text("utf-8").partition("\n## Limits\n")[2].partition("\n## Settings\n")[0]
    for name, value in vars(limits).items():
        if name.isupper() and isinstance(value, int):
            assert re.search(rf"(?<![0-9,]){value:,}(?![0-9,])", section.replace(", ", " ; ")), name


async def test_whoever_sees_the_configuration_is_told_the_limits(client):
    data = await client.data("{ serviceLimits { name value unit description } }", scopes=["profile:read"])
    assert len(data["serviceLimits"]) == len(SERVICE_LIMITS)
    error = await client.error("{ serviceLimits { name } }", scopes=["profile:write"])
    assert error["extensions"]["code"] == "FORBIDDEN"
