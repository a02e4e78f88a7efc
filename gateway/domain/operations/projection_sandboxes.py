"""What an edge has to know of a sandbox to answer for it without its hub: its namespaces, and who may ask."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from hashlib import blake2b

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.tokens import list_public_keys
from gateway.domain.edges.keys import edge_key
from gateway.domain.edges.sandboxes import (
    DeliveredApiKey,
    DeliveredIssuer,
    DeliveredNamespace,
    DeliveredRevocation,
    DeliveredSandbox,
    DeliveredSigningKey,
)
from gateway.domain.rules.scope import Scope
from gateway.storage.database import Database
from gateway.storage.queries import query

LIST_API_KEYS = query("projection_sandboxes.list_api_keys")
LIST_REVOCATIONS = query("projection_sandboxes.list_revocations")


async def delivered_sandbox(
    db: Database, scope: Scope, config: Configuration, data_center: str, issuers: Sequence[DeliveredIssuer]
) -> DeliveredSandbox:
    """Return what the edge of a data centre has to know of the sandbox, other issuers of tokens included. Needs no permission."""
    organization_id, sandbox = scope.organization.organization_id, scope.sandbox
    api_keys = await db.rows(LIST_API_KEYS, sandbox.sandbox_id, organization_id)
    revocations = await db.rows(LIST_REVOCATIONS, organization_id)
    signing_keys = await list_public_keys(db)
    delivered = DeliveredSandbox(
        sandbox.sandbox_id,
        organization_id,
        sandbox.name,
        sandbox.is_default,
        edge_key(sandbox.secret, data_center),
        sandbox.text_rules,
        [
            DeliveredNamespace(each.namespace_id, each.code, each.normalization)
            for each in sorted(config.namespaces.values(), key=lambda namespace: namespace.namespace_id)
        ],
        [DeliveredApiKey(**row) for row in api_keys],
        [DeliveredSigningKey(*each) for each in sorted(signing_keys.items())],
        issuers,
        [DeliveredRevocation(**row) for row in revocations],
        digest="",
    )
    text = repr(asdict(delivered)).encode()
    return replace(delivered, digest=blake2b(text, digest_size=16).hexdigest())
