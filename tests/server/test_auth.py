"""The four headers: where they lead, and the model's own code for each way in which they do not."""

from uuid import uuid4

import pytest

from gateway.domain import sandboxes
from gateway.domain.tenants import Permission, SandboxType, issue_api_key
from gateway.errors import Forbidden, Unauthenticated
from gateway.server.auth import scope_of
from gateway.server.tokens import TokenReader, issue_token
from gateway.telemetry import StatementRan, listen

SECRET = "a secret of at least thirty-two bytes"
TOKENS = TokenReader(SECRET)


class Caller:
    """Headers as a client builds them, lower-case as a server sees them."""

    def __init__(self, organization, key):
        self.organization, self.key = organization, key

    def headers(self, sandboxes=("*",), permissions=(Permission.PROFILE_READ,), **changes):
        token = issue_token(SECRET, self.organization.organization_id, permissions, sandboxes)
        given = {
            "authorization": f"Bearer {token}",
            "x-api-key": self.key,
            "x-gw-ims-org-id": str(self.organization.organization_id),
            "x-sandbox-name": "prod",
        }
        given |= {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in given.items() if value is not None}


async def caller_of(db, code):
    organization = await sandboxes.create_organization(db, code, code.title())
    return Caller(organization, await issue_api_key(db, organization, "test"))


@pytest.fixture
async def caller(db):
    return await caller_of(db, "acme")


async def test_headers_lead_to_the_sandbox_in_one_statement(db, caller):
    ran = []
    end = listen(lambda seen: ran.append(seen.name) if isinstance(seen, StatementRan) else None)
    scope = await scope_of(db, TOKENS, caller.headers())
    end()
    assert (scope.organization, scope.sandbox.name) == (caller.organization, "prod")
    assert scope.permissions == {Permission.PROFILE_READ}
    assert ran == ["tenants.authenticate"]


@pytest.mark.parametrize("name", [None, ""])
async def test_without_a_sandbox_name_the_default_one_answers(db, caller, name):
    scope = await scope_of(db, TOKENS, caller.headers(**{"x-sandbox-name": name}))
    assert scope.sandbox.is_default


async def test_the_header_selects_among_the_tokens_sandboxes_only(db, caller):
    admin = await scope_of(db, TOKENS, caller.headers(permissions=[Permission.ADMIN]))
    await sandboxes.create_sandbox(db, admin, "dev", None, SandboxType.DEVELOPMENT)
    assert (await scope_of(db, TOKENS, caller.headers(["dev"], x_sandbox_name="dev"))).sandbox.name == "dev"
    assert (await scope_of(db, TOKENS, caller.headers(["*"], x_sandbox_name="dev"))).sandbox.name == "dev"
    messages = set()
    for sandboxes_of_token, name in [(["prod"], "dev"), (["*"], "none"), (["none"], "none")]:
        with pytest.raises(Forbidden) as caught:
            await scope_of(db, TOKENS, caller.headers(sandboxes_of_token, x_sandbox_name=name))
        messages.add(caught.value.message.replace(repr(name), "?"))
    assert len(messages) == 1  # whether it exists is not told
    with pytest.raises(Forbidden, match="default sandbox"):
        await scope_of(db, TOKENS, caller.headers(["dev"], x_sandbox_name=None))


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"authorization": None}, 403, "403010"),
        ({"authorization": "Basic dXNlcjpwYXNz"}, 403, "403010"),
        ({"authorization": "Bearer "}, 403, "403010"),
        ({"authorization": "Bearer nonsense"}, 401, "401013"),
        ({"x_api_key": None}, 403, "403000"),
        ({"x_api_key": "no such key"}, 403, "403003"),
        ({"x_gw_ims_org_id": None}, 400, "400003"),
        ({"x_gw_ims_org_id": "acme"}, 403, "403025"),
        ({"x_gw_ims_org_id": str(uuid4())}, 403, "403025"),
    ],
)
async def test_each_fault_has_the_models_code(db, caller, changes, status, code):
    with pytest.raises(Unauthenticated) as caught:
        await scope_of(db, TOKENS, caller.headers(**changes))
    assert (caught.value.status, caught.value.error_code) == (status, code)


async def test_nothing_of_one_organization_opens_another(db, caller):
    other = await caller_of(db, "other")
    theirs = other.headers()
    for name in ["x-gw-ims-org-id", "x-api-key", "authorization"]:
        with pytest.raises(Unauthenticated) as caught:
            await scope_of(db, TOKENS, caller.headers() | {name: theirs[name]})
        assert caught.value.error_code == "403025"
        with pytest.raises(Unauthenticated) as caught:
            await scope_of(db, TOKENS, theirs | {name: caller.headers()[name]})
        assert caught.value.error_code == "403025"
