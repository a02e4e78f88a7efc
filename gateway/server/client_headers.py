"""The headers of a request to this gateway, with a token that its deployment signs."""

from collections.abc import Iterable, Sequence

from gateway.domain.rules.scope import EVERY_SANDBOX, Permission, Sandbox
from gateway.server.deployment import Deployment, system_user
from gateway.server.tokens import issue_token


def request_headers(
    deployment: Deployment,
    sandbox: Sandbox,
    permissions: Iterable[Permission],
    sandboxes: Sequence[str] = (EVERY_SANDBOX,),
) -> dict[str, str]:
    """Return the four headers of a request to a sandbox, with a new token for `sandboxes` and the user who runs this."""
    organization_id = deployment.organization.organization_id
    token = issue_token(deployment.jwt_secret, organization_id, permissions, sandboxes, subject=system_user())
    return {
        "Authorization": f"Bearer {token}",
        "x-api-key": deployment.api_key,
        "x-gw-ims-org-id": str(organization_id),
        "x-sandbox-name": sandbox.name,
    }
