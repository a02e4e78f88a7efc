"""The four headers of a request → `Scope`, or a refusal with the model's own error code (facts 1.5).

Authorization      Bearer <token>: the organization, the sandboxes and the permissions
x-api-key          who calls: the key belongs to the same organization
x-gw-ims-org-id    the organization, again
x-sandbox-name     one of the token's sandboxes; the default one where it is absent
"""

from collections.abc import Mapping
from uuid import UUID

from gateway.domain.tenants import Scope, authenticate
from gateway.errors import Forbidden, Unauthenticated
from gateway.server.tokens import TokenReader
from gateway.storage.database import Database


async def scope_of(db: Database, tokens: TokenReader, headers: Mapping[str, str]) -> Scope:
    """What the caller may do and where. One statement. `headers` are looked up by lower-case names.

    Raises Unauthenticated; Forbidden for a sandbox that is not the token's, or not there: the answer does not tell which.
    """
    token, key, organization = _bearer(headers), headers.get("x-api-key"), headers.get("x-gw-ims-org-id")
    if token is None:
        raise Unauthenticated("Oauth token is missing.", status=403, error_code="403010")
    if not key:
        raise Unauthenticated("Api Key is required", status=403, error_code="403000")
    if not organization:
        raise Unauthenticated("Missing header: x-gw-ims-org-id", status=400, error_code="400003")
    claims = await tokens.read(token)
    name = headers.get("x-sandbox-name") or None
    found = await authenticate(db, key, _uuid(organization), name)
    if found is None:
        raise Unauthenticated("Api Key is invalid", status=403, error_code="403003")
    here, sandbox = found
    if here is None or here.organization_id != claims.organization_id:
        raise Unauthenticated("Profile is not valid", status=403, error_code="403025")
    if sandbox is None or not claims.cover(sandbox.name):
        raise Forbidden(f"The token is not for {f'a sandbox {name!r}' if name else 'the default sandbox'}.")
    return Scope(here, sandbox, claims.permissions)


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
