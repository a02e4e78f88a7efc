"""The headers of a request to this gateway, for whoever owns its store."""

from collections.abc import Iterable, Sequence

from gateway.domain.rules.scope import EVERY_SANDBOX, Permission, Sandbox
from gateway.server.deployment import Deployment
from gateway.server.tokens import issue_token


def request_headers(
    store: Deployment, sandbox: Sandbox, permissions: Iterable[Permission], sandboxes: Sequence[str] = (EVERY_SANDBOX,)
) -> dict[str, str]:
    """Give the four headers of a request to this sandbox, with a new token that is good for `sandboxes`."""
    organization_id = store.organization.organization_id
    return {
        "Authorization": f"Bearer {issue_token(store.jwt_secret, organization_id, permissions, sandboxes)}",
        "x-api-key": store.api_key,
        "x-gw-ims-org-id": str(organization_id),
        "x-sandbox-name": sandbox.name,
    }
