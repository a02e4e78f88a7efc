"""What tests deliver to an edge."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from gateway.domain.edges.centers import begin_delivery
from gateway.domain.edges.configurations import ServedConfiguration
from gateway.domain.edges.projections import DeliveredProjection
from gateway.domain.edges.sandboxes import DeliveredNamespace, DeliveredSandbox

ORGANIZATION = UUID(int=7)
KEY = bytes(range(32))
EMAIL, CRM = 6, 1_000
AT = datetime(2026, 11, 30, 12, tzinfo=UTC)


@asynccontextmanager
async def delivery(store, fence=1, hub="here", data_center="VA6"):
    """A transaction that delivers."""
    async with store.transaction() as tx:
        await begin_delivery(tx, hub=hub, data_center=data_center, fence=fence)
        yield tx


def sandbox(sandbox_id=1, name="prod", **more):
    """A sandbox with two namespaces."""
    namespaces = [DeliveredNamespace(EMAIL, "Email", "TRIM_LOWERCASE"), DeliveredNamespace(CRM, "crmId", "EXACT")]
    given = {"namespaces": namespaces, "api_keys": [], "signing_keys": [], "revocations": [], "digest": "first"}
    return DeliveredSandbox(sandbox_id, ORGANIZATION, name, name == "prod", KEY, 2, **{**given, **more})


def served(number=1, revision=1, name="shop", policy="PROACTIVE", within=None):
    """A configuration as an edge serves it."""
    return ServedConfiguration(UUID(int=number), revision, name, policy, 600, within)


def projection(person, identities, profile="{}", *, number=1, revision=1, events=(), times=(), due=None):
    """What a configuration says of a person; both are numbers here."""
    etag = f"{profile}{len(events)}"
    keys = [UUID(int=each) for each in identities]
    return DeliveredProjection(
        UUID(int=number), revision, UUID(int=person), keys, profile, events, times, etag, AT, due
    )
