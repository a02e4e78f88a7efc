"""The headers of a request to this gateway, with a token that its deployment signs."""

from gateway.domain.config.tokens import NewToken, record_token
from gateway.domain.rules.scope import Sandbox
from gateway.server.deployment import Deployment
from gateway.server.tokens import sign_token


async def request_headers(deployment: Deployment, sandbox: Sandbox, token: NewToken) -> dict[str, str]:
    """Return the four headers of a request to a sandbox, with this token, which the audit log tells of."""
    organization_id = deployment.organization.organization_id
    await record_token(deployment.db, await deployment.scope(sandbox.name), token)
    signed = sign_token(deployment.signing_keys.current, organization_id, token)
    return {
        "Authorization": f"Bearer {signed}",
        "x-api-key": deployment.api_key,
        "x-gw-ims-org-id": str(organization_id),
        "x-sandbox-name": sandbox.name,
    }
