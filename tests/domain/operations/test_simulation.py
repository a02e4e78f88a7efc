"""A simulation lists graphs in a fixed order, skips placeholders and refuses what ingestion refuses."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from world import event

from gateway.domain.config.identity_settings import NamespaceRule, update_identity_settings
from gateway.domain.operations import manual_links
from gateway.domain.operations.simulation import MAX_EVENTS, MAX_NAMED, SimulatedEvent, simulate
from gateway.domain.rules.graphs import LinkRefusal
from gateway.domain.rules.scope import Permission
from gateway.errors import Forbidden, Invalid, NotFound, TooMany

ANA, BOB, DEVICE = ("Email", "ana@x.io"), ("Email", "bob@x.io"), ("ECID", "1" * 38)
SHARED = [SimulatedEvent([ANA, DEVICE]), SimulatedEvent([BOB, DEVICE])]
ONE_EMAIL = [NamespaceRule("Email", is_unique=True), NamespaceRule("ECID")]


async def told(world, events, rules=None):
    """Return each graph as the values of its members."""
    graphs = simulate(world.scope, await world.config(), events, rules)
    return [{each.value for each in graph.identities} for graph in graphs]


def stamped(identities, day):
    return SimulatedEvent(identities, datetime(2030, 1, day, tzinfo=UTC))


async def test_a_shared_device_joins_two_people_and_settings_keep_them_apart(world):
    assert await told(world, SHARED) == [{"ana@x.io", "bob@x.io", "1" * 38}]
    ana, bob = simulate(world.scope, await world.config(), SHARED, ONE_EMAIL)
    assert [each.value for each in ana.identities] == ["ana@x.io"]
    assert [each.value for each in bob.identities] == ["bob@x.io", "1" * 38]
    assert (ana.links, len(bob.links)) == ([], 1)
    assert ana.refused_links == bob.refused_links
    assert [link.refusal for link in ana.refused_links] == [LinkRefusal.UNIQUE_NAMESPACE]


async def test_the_newest_event_gets_a_shared_device_and_events_without_a_time_are_newest(world):
    early, late = stamped([ANA, DEVICE], 1), stamped([BOB, DEVICE], 2)
    assert await told(world, [late, early], ONE_EMAIL) == [{"bob@x.io", "1" * 38}, {"ana@x.io"}]
    undated = SimulatedEvent([ANA, DEVICE])
    assert await told(world, [undated, late], ONE_EMAIL) == [{"ana@x.io", "1" * 38}, {"bob@x.io"}]
    last = SimulatedEvent([ANA, DEVICE], datetime.max.replace(tzinfo=UTC))
    assert await told(world, [last, *SHARED[1:]], ONE_EMAIL) == [{"ana@x.io"}, {"bob@x.io", "1" * 38}]


async def test_the_result_depends_on_the_settings_of_the_sandbox_and_not_on_its_facts(world):
    await world.events(event("e1", "2026-01-01T00:00:00Z", ANA, BOB), event("e2", "2026-01-01T00:00:00Z", ANA, DEVICE))
    xids = [await world.xid(*each) for each in (ANA, DEVICE)]
    await manual_links.unlink_identities(world.db, world.scope, world.configurations, *xids)
    assert await told(world, [SimulatedEvent([ANA, DEVICE]), SimulatedEvent([BOB])]) == [
        {"ana@x.io", "1" * 38},
        {"bob@x.io"},
    ]
    await update_identity_settings(world.db, world.scope, ONE_EMAIL)
    assert len(await told(world, SHARED)) == 2
    assert len(await told(world, SHARED, [])) == 1


async def test_placeholder_values_are_skipped(world):
    nobody = [("Email", "guest"), ("Nowhere", "null")]
    assert await told(world, [SimulatedEvent([nobody[0], ANA]), SimulatedEvent(nobody), SimulatedEvent([BOB])]) == [
        {"ana@x.io"},
        {"bob@x.io"},
    ]
    assert await told(world, []) == []


@pytest.mark.parametrize(
    ("events", "rules", "error", "path"),
    [
        ([[ANA], [BOB, ("Nowhere", "1")]], None, Invalid, "events.1.identities.1.namespace"),
        ([[("Email", "guest"), ("ECID", "12")]], None, Invalid, "events.0.identities.1.value"),
        ([[("Email", "x" * 1025)]], None, Invalid, "events.0.identities.0.value"),
        ([[]], None, Invalid, "events.0.identities"),
        ([[ANA], [ANA] * 21], None, TooMany, "events.1.identities"),
        ([[ANA]] * (MAX_EVENTS + 1), None, TooMany, "events"),
        ([[ANA] * 20] * (MAX_NAMED // 20 + 1), None, TooMany, "events"),
        ([[ANA]], [NamespaceRule("Nowhere")], NotFound, "settings.namespaces.0.namespace"),
        ([[ANA]], [NamespaceRule("ECID", is_unique=True)], Invalid, "settings.namespaces.0.isUniquePerGraph"),
    ],
)
async def test_an_event_that_breaks_a_rule_is_refused_with_the_path_of_the_input(world, events, rules, error, path):
    with pytest.raises(error) as caught:
        await told(world, [SimulatedEvent(identities) for identities in events], rules)
    assert ".".join(caught.value.path) == path


async def test_reading_the_configuration_is_permission_enough(world):
    for permission in Permission:
        scope = replace(world.scope, permissions=frozenset({permission}))
        if permission in {Permission.PROFILE_READ, Permission.CONFIG_WRITE, Permission.ADMIN}:
            assert len(simulate(scope, await world.config(), SHARED)) == 1
        else:
            with pytest.raises(Forbidden):
                simulate(scope, await world.config(), SHARED)
