"""`gateway attributes`: a computed attribute from its draft to its end."""

import pytest

from gateway.errors import BadInput, Conflict, Invalid, NotFound

COUNT = "xEvent.count()"


def test_an_attribute_is_made_published_shown_and_deleted(gateway_here):
    def attributes(*arguments):
        result = gateway_here("attributes", *arguments)
        assert result.exit_code == 0, result.output
        return result.output.splitlines()

    def row():
        name, _, *rest = attributes("list")[1].split()
        return [name, *rest[:4]]

    shown = dict(
        line.split(maxsplit=1) for line in attributes("preview", COUNT, "--lookback", "P30D", "--sample", "10")
    )
    assert (shown["function"].strip(), shown["type"].strip(), shown["people"].strip()) == ("COUNT", "long", "0")
    attributes("create", "visits", COUNT, "--lookback", "P30D", "--description", "How often?")
    assert row() == ["visits", "DRAFT", "COUNT", "long", "P30D"]
    attributes(
        "edit", "visits", "--lookback", "all", "--expression", "xEvent.max(timestamp)", "--display-name", "Last visit"
    )
    attributes("publish", "visits")
    assert row() == ["visits", "NEW", "MAX", "date-time", "all"]
    shown = dict(
        line.split(maxsplit=1) for line in attributes("show", "visits") if not line.startswith(("display", "created"))
    )
    assert (shown["description"].strip(), shown["reads"].strip(), shown["version"].strip()) == (
        "How often?",
        "xEvent.timestamp",
        "3",
    )
    with pytest.raises(Conflict):
        gateway_here("attributes", "edit", "visits", "--expression", COUNT)
    with pytest.raises(Conflict):
        gateway_here("attributes", "delete", "visits")
    attributes("disable", "visits")
    attributes("delete", "visits")
    assert len(attributes("list")) == 1
    attributes("create", "visits", COUNT, "--publish")
    assert row()[1] == "NEW"
    for wrong, error in (("xEvent.cuont()", Invalid), (COUNT, BadInput)):
        with pytest.raises(error):
            gateway_here(
                "attributes", "create", "others", wrong, "--lookback", "P30D" if error is Invalid else "30 days"
            )
    with pytest.raises(NotFound):
        gateway_here("attributes", "publish", "others")
