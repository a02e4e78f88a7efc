"""Expressions that an index serves, and the people of the sample as the tables of the store have them."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

from pql.people import people

from gateway.domain.config.policies import IdentityGraphType
from gateway.xdm.leaves import instant

SANDBOX = 15
POLICY = UUID(int=77)
SCOPE = SimpleNamespace(sandbox_id=SANDBOX)
PEOPLE = people(60)


def policy(graph=IdentityGraphType.PDG):
    return SimpleNamespace(policy_id=POLICY, settings=SimpleNamespace(identity_graph=graph))


def profile_id(number):
    return UUID(int=1_000 + number)


def xids(number):
    return [UUID(int=2 * number + 1), UUID(int=2 * number + 2)]


async def fill(connection):
    """Write the people of the sample: profiles, graphs, identities and events, each person with two identities, which share the events."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for number, (document, events) in enumerate(PEOPLE):
        person, members = profile_id(number), xids(number)
        await connection.execute(
            "insert into gateway.profile (sandbox_id, policy_id, profile_id, document, sources, modified_at) values ($1, $2, $3, $4, '{}', $5)",
            *(SANDBOX, POLICY, person, json.dumps(document), at),
        )
        for xid in members:
            await connection.execute(
                "insert into gateway.identity (sandbox_id, xid, namespace_id, value, profile_id) values ($1, $2, 6, $3, $4)",
                *(SANDBOX, xid, str(xid), person),
            )
        for place, event in enumerate(events):
            await connection.execute(
                """insert into gateway.event (sandbox_id, xid, dataset_id, event_id, timestamp, event_type, document, batch_id, ingested_at)
                values ($1, $2, $3, $4, $5, $6, $7, $3, $5)""",
                *(SANDBOX, members[place % 2], UUID(int=9), f"{place:02}", instant(event["timestamp"])),
                *(event.get("eventType"), json.dumps(event)),
            )
