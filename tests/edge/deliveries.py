"""What tests deliver to an edge, and the tokens with which they ask it."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zlib import crc32

from gateway.domain.config.tenants import key_hash
from gateway.domain.config.tokens import LIFETIME, new_token
from gateway.domain.edges import configurations, projections, sandboxes
from gateway.domain.edges.centers import begin_delivery
from gateway.domain.edges.configurations import ServedConfiguration
from gateway.domain.edges.projections import DeliveredProjection
from gateway.domain.edges.sandboxes import (
    DeliveredApiKey,
    DeliveredNamespace,
    DeliveredSandbox,
    DeliveredSigningKey,
)
from gateway.domain.rules.graphs import xids_in
from gateway.domain.rules.scope import Permission
from gateway.server.signing_keys import SigningKey
from gateway.server.tokens import sign_token

ORGANIZATION = UUID(int=7)
KEY = bytes(range(32))
EMAIL, CRM = 6, 1_000
AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
SIGNING, API_KEY = SigningKey("ed25519:the key of the tests"), "key of a program"


@asynccontextmanager
async def delivery(store, fence=1, hub="here", data_center="VA6"):
    """A transaction that delivers."""
    async with store.transaction() as tx:
        await begin_delivery(tx, hub=hub, data_center=data_center, fence=fence)
        yield tx


def sandbox(sandbox_id=1, name="prod", **more):
    """A sandbox with two namespaces."""
    namespaces = [DeliveredNamespace(EMAIL, "Email", "TRIM_LOWERCASE"), DeliveredNamespace(CRM, "crmId", "EXACT")]
    given = {
        "namespaces": namespaces,
        "api_keys": [],
        "signing_keys": [],
        "issuers": [],
        "revocations": [],
        "digest": "first",
    }
    return DeliveredSandbox(sandbox_id, ORGANIZATION, name, name == "prod", KEY, 2, **{**given, **more})


def open_sandbox(**more):
    """A sandbox that the tokens and the API key of this file open."""
    keys = {
        "api_keys": [DeliveredApiKey(key_hash(API_KEY), None)],
        "signing_keys": [DeliveredSigningKey(SIGNING.key_id, SIGNING.public_bytes)],
    }
    return sandbox(**keys | more)


def served(number=1, edition=1, name="shop", policy="PROACTIVE", within=None):
    """A configuration as an edge serves it."""
    return ServedConfiguration(UUID(int=number), edition, name, policy, 600, within)


def projection(person, identities, profile="{}", *, number=1, edition=1, events=(), times=(), due=None):
    """What a configuration says of a person; both are numbers here, and identities numbers or e-mail addresses."""
    etag = f"{crc32(profile.encode()):x}x{len(events)}"
    keys = [email_key(each) if isinstance(each, str) else UUID(int=each) for each in identities]
    return DeliveredProjection(UUID(int=number), edition, UUID(int=person), keys, profile, events, times, etag, AT, due)


def email_key(address):
    """How the edge knows an e-mail address."""
    return xids_in(KEY, EMAIL)(address)


async def fill(store, *given, sandbox_id=1):
    """Deliver an open sandbox that serves `shop` (PROACTIVE) and `cart` (REACTIVE), and projections."""
    async with delivery(store) as tx:
        await sandboxes.deliver_sandbox(tx, open_sandbox())
        await configurations.switch(tx, sandbox_id, served(within="P30D"))
        await configurations.switch(tx, sandbox_id, served(2, name="cart", policy="REACTIVE"))
        await projections.deliver(tx, sandbox_id, given)


def token(*, scopes=(Permission.PROFILE_READ,), lifetime=LIFETIME, bound_to=None, key=SIGNING, name="prod"):
    """A token for one sandbox."""
    return sign_token(key, ORGANIZATION, new_token("ann", scopes, [name], lifetime, bound_to=bound_to))


def headers(**options):
    """The four headers of a request."""
    return {
        "authorization": f"Bearer {token(**options)}",
        "x-api-key": API_KEY,
        "x-gw-ims-org-id": str(ORGANIZATION),
        "x-sandbox-name": "prod",
    }


EXPIRED = timedelta(hours=-1)
