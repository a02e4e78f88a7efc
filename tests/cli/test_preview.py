"""`gateway preview`: what it shows of people, and of a day without a report."""

from datetime import UTC, datetime

import pytest
from world import World, event, record

from gateway.errors import NotFound

ADA, BEN = ("Email", "ada@example.com"), ("Email", "ben@example.com")
DEVICES = [("ECID", str(n) * 38) for n in range(1, 4)]


async def filled(db, scope):
    world = await World.inside(db, scope)
    await world.records(record(ADA, DEVICES[0]), record(BEN))
    old, new = "2020-01-01T00:00:00Z", datetime.now(UTC).isoformat()
    await world.events(*(event(f"e{n}", new if n == 5 else old, DEVICES[n % 3]) for n in range(6)))


def test_it_shows_totals_shares_sets_and_what_would_remain(gateway_here, in_database):
    with pytest.raises(NotFound):
        gateway_here("preview", "--policy", "Nobody's")
    in_database(filled)
    shown = gateway_here("preview")
    assert shown.exit_code == 0, shown.output
    lines = [" ".join(line.split()) for line in shown.output.splitlines()]
    for expected in ("profiles 4", "fragments 5", "events 6"):
        assert expected in lines, shown.output
    starts = ("Shop 3 6 75.0% █", "CRM 2 2 50.0% █", "ECID 3 3 75.0% █", "Email 2 2 50.0% █")
    for start in (
        *starts,
        "Shop 2 50.0% █",
        "CRM + Shop 1 25.0% █",
        "ECID + Email 1 25.0%",
        "120 days 2 2 50.0% █",
        "Shop 1 1 1 1 1 1 1",
    ):
        assert any(line.startswith(start) for line in lines), f"{start}\n{shown.output}"
    with pytest.raises(NotFound, match="No report of 2026-01-02"):
        gateway_here("preview", "--on", "2026-01-02")
