"""The four headers: where they lead, the model's own code for each way in which they do not, and what is remembered of them."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from time import time
from uuid import uuid4

import jwt
import pytest
from signed import signed

from gateway.domain.config import namespaces, sandboxes
from gateway.domain.config.api_keys import create_api_key, read_api_keys, revoke_api_key
from gateway.domain.config.namespaces import IdentityType
from gateway.domain.config.tenants import read_sandbox
from gateway.domain.config.tokens import Binding, new_token, revoke_signing_key, revoke_token, token_hash
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission, SandboxType, Scope
from gateway.domain.work.audit import AuditFilter, list_entries
from gateway.errors import Forbidden, Unauthenticated
from gateway.server.http import auth
from gateway.server.http.auth import Callers
from gateway.server.signing_keys import SigningKey, SigningKeys
from gateway.server.token_reader import TokenReader
from gateway.server.tokens import sign_token
from gateway.storage.queries import Query

SECRET = "a secret of at least thirty-two bytes"
LIFETIME = timedelta(hours=1)
REVOCATIONS = Query("test.revocations", "select token_hash from gateway.revocation", (), (), "rows", "For tests.")
TOKENS = TokenReader(SigningKeys(SigningKey(SECRET)))


class Client:
    """Headers as a client builds them, lower-case as a server sees them."""

    def __init__(self, admin, key, secret):
        self.admin, self.organization, self.key, self.secret = admin, admin.organization, key, secret

    def headers(self, sandboxes=("*",), permissions=(Permission.PROFILE_READ,), secret=SECRET, **changes):
        token = signed(secret, self.organization.organization_id, permissions, sandboxes, lifetime=LIFETIME)
        given = {
            "authorization": f"Bearer {token}",
            "x-api-key": self.secret,
            "x-gw-ims-org-id": str(self.organization.organization_id),
            "x-sandbox-name": "prod",
        }
        given |= {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in given.items() if value is not None}


def token_id(headers):
    return jwt.decode(headers["authorization"].removeprefix("Bearer "), options={"verify_signature": False})["jti"]


async def client_of(db, code):
    organization = await sandboxes.create_organization(db, code, code.title())
    sandbox = await read_sandbox(db, organization.organization_id, None)
    admin = Scope(organization, sandbox, frozenset({Permission.ADMIN}), frozenset({"*"}))
    key, secret = await create_api_key(db, admin, "test")
    return Client(admin, key, secret)


@pytest.fixture(scope="module")
async def stranger(module_db):
    """A client who is not let in, and so changes nothing."""
    return await client_of(module_db, "acme")


async def scope_of(callers, headers):
    """Return the scope of a caller, as routes do."""
    caller = callers.known(headers)
    return (await callers.meet(headers)).scope if caller is None else await callers.confirm(caller)


@pytest.fixture
async def callers(db):
    return Callers(db, TOKENS)


@pytest.fixture
async def client(db):
    return await client_of(db, "acme")


async def test_the_sandbox_of_headers_is_read_in_one_statement(callers, client, statements):
    with statements() as ran:
        scope = await scope_of(callers, client.headers())
    assert (scope.organization, scope.sandbox.name) == (client.organization, "prod")
    assert scope.permissions == {Permission.PROFILE_READ}
    assert ran == ["tenants.authenticate"]


@pytest.mark.parametrize("name", [None, ""])
async def test_without_a_sandbox_name_the_default_one_answers(callers, client, name):
    scope = await scope_of(callers, client.headers(**{"x-sandbox-name": name}))
    assert scope.sandbox.is_default


async def test_the_header_can_select_only_a_sandbox_of_the_token(db, callers, client):
    admin = await scope_of(callers, client.headers(permissions=[Permission.ADMIN]))
    await sandboxes.create_sandbox(db, admin, "dev", None, SandboxType.DEVELOPMENT)
    assert (await scope_of(callers, client.headers(["dev"], x_sandbox_name="dev"))).sandbox.name == "dev"
    assert (await scope_of(callers, client.headers(["*"], x_sandbox_name="dev"))).sandbox.name == "dev"
    messages = set()
    for sandboxes_of_token, name in [(["prod"], "dev"), (["*"], "none"), (["none"], "none")]:
        with pytest.raises(Forbidden) as caught:
            await scope_of(callers, client.headers(sandboxes_of_token, x_sandbox_name=name))
        messages.add(caught.value.message.replace(repr(name), "?"))
    assert len(messages) == 1  # whether it exists is not told
    with pytest.raises(Forbidden, match="default sandbox"):
        await scope_of(callers, client.headers(["dev"], x_sandbox_name=None))


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
async def test_each_error_has_the_code_of_the_profile_service_of_adobe(module_db, stranger, changes, status, code):
    with pytest.raises(Unauthenticated) as caught:
        await scope_of(Callers(module_db, TOKENS), stranger.headers(**changes))
    assert (caught.value.status, caught.value.error_code) == (status, code)


async def test_credentials_of_one_organization_do_not_open_another(db, callers, client):
    other = await client_of(db, "other")
    theirs = other.headers()
    for name in ["x-gw-ims-org-id", "x-api-key", "authorization"]:
        with pytest.raises(Unauthenticated) as caught:
            await scope_of(callers, client.headers() | {name: theirs[name]})
        assert caught.value.error_code == "403025"
        with pytest.raises(Unauthenticated) as caught:
            await scope_of(callers, theirs | {name: client.headers()[name]})
        assert caught.value.error_code == "403025"


async def noted(callers):
    """Wait until the uses of keys are stored."""
    while callers._noting:
        await asyncio.gather(*callers._noting)


async def test_a_returning_caller_is_known_and_has_the_same_scope(callers, client, statements):
    headers = client.headers()
    assert callers.known(headers) is None
    scope = await scope_of(callers, headers)
    await noted(callers)
    with statements() as ran:
        caller = callers.known(headers)
        assert ran == []
        assert await callers.confirm(caller) is caller.scope is scope
        assert await scope_of(callers, headers) is scope
    assert ran == ["tenants.authenticate"] * 2


async def test_a_revoked_key_is_refused_from_then_on(db, callers, client):
    headers = client.headers()
    await scope_of(callers, headers)
    caller = callers.known(headers)
    await revoke_api_key(db, client.admin, client.key.api_key_id)
    with pytest.raises(Unauthenticated) as caught:
        await callers.confirm(caller)
    assert caught.value.error_code == "403003"
    assert callers.known(headers) is None
    with pytest.raises(Unauthenticated):
        await scope_of(callers, headers)


async def test_a_key_that_expires_is_refused_from_then_on(db, callers, client, monkeypatch):
    key, secret = await create_api_key(db, client.admin, "for a minute", None, datetime.now(UTC) + timedelta(minutes=1))
    headers = client.headers(x_api_key=secret)
    scope = await scope_of(callers, headers)
    assert (scope.api_key_id, scope.actor) == (key.api_key_id, "ann")
    monkeypatch.setattr(auth, "time", lambda: time() + 60)
    assert callers.known(headers) is None
    with pytest.raises(Unauthenticated, match="has expired") as caught:
        await scope_of(callers, headers)
    assert caught.value.error_code == "403003"


async def test_a_key_narrows_the_sandboxes_of_the_token(db, callers, client):
    made = {}
    for name in ("dev", "test"):
        made[name] = await sandboxes.create_sandbox(db, client.admin, name, None, SandboxType.DEVELOPMENT)
    ids = [sandbox.sandbox_id for sandbox in made.values()]
    _, secret = await create_api_key(db, client.admin, "dev and test", ids)
    opened = {}
    for names in (["*"], ["dev", "prod"], ["prod"], []):
        opened[(*names,)] = set()
        for name in ("prod", "dev", "test"):
            with suppress(Forbidden):
                scope = await scope_of(callers, client.headers(names, x_api_key=secret, x_sandbox_name=name))
                opened[(*names,)].add(scope.sandbox.name)
                assert scope.sandboxes == ({"dev", "test"} if names == ["*"] else {"dev"})
    assert opened == {("*",): {"dev", "test"}, ("dev", "prod"): {"dev"}, ("prod",): set(), (): set()}
    await sandboxes.delete_sandbox(db, client.admin, made["dev"].sandbox_id, "dev")
    await sandboxes.create_sandbox(db, client.admin, "dev", None, SandboxType.DEVELOPMENT)
    with pytest.raises(Forbidden):  # of the same name, and not the one that the key is bound to
        await scope_of(callers, client.headers(x_api_key=secret, x_sandbox_name="dev"))


async def test_a_revoked_token_is_refused_from_then_on_and_no_other(db, callers, client):
    other = await client_of(db, "other")
    headers, theirs, another = client.headers(), other.headers(), client.headers()
    for each in (headers, theirs, another):
        await scope_of(callers, each)
    caller = callers.known(headers)
    await revoke_token(db, other.admin, token_id(headers))  # of another organization: ours goes on
    assert await callers.confirm(caller)
    await revoke_token(db, client.admin, token_id(headers))
    with pytest.raises(Unauthenticated, match="revoked") as caught:
        await callers.confirm(caller)
    assert (caught.value.status, caught.value.error_code) == (401, "401013")
    assert callers.known(headers) is None
    found = await asyncio.gather(*map(partial(scope_of, callers), (headers, theirs, another)), return_exceptions=True)
    assert [type(each) for each in found] == [Unauthenticated, Scope, Scope]  # in one statement


async def test_tokens_of_a_dropped_secret_are_refused_and_those_of_the_other_are_not(db, client):
    former = SigningKey("the former secret of thirty-two bytes")
    callers = Callers(db, TokenReader(SigningKeys(SigningKey(SECRET), former)))
    old = client.headers(secret=former.secret)
    assert await scope_of(callers, old)
    await revoke_signing_key(db, client.admin, former.key_id)
    with pytest.raises(Unauthenticated, match="revoked"):
        await scope_of(callers, old)
    assert await scope_of(callers, client.headers())


async def test_a_token_that_is_bound_to_a_projection_opens_nothing_at_a_hub(db, client):
    bound = new_token("ann", [Permission.PROFILE_READ], bound_to=Binding(uuid4(), "Email", "ada@example.com"))
    token = sign_token(SigningKey(SECRET), client.organization.organization_id, bound)
    with pytest.raises(Unauthenticated, match="at edges, and nothing here") as caught:
        await scope_of(Callers(db, TOKENS), client.headers() | {"authorization": f"Bearer {token}"})
    assert (caught.value.status, caught.value.error_code) == (401, "401013")


async def test_a_revocation_is_forgotten_after_its_token_has_expired(db, client):
    ended, long_ended = (
        f"gw.{int((datetime.now(UTC) - since).timestamp())}.{'x' * 22}"
        for since in (timedelta(hours=23), timedelta(hours=25))
    )
    for each in (long_ended, ended, "of another issuer", "of another issuer"):
        await revoke_token(db, client.admin, each)
    stored = {row["token_hash"] for row in await db.rows(REVOCATIONS)}
    assert stored == {token_hash(client.organization.organization_id, each) for each in (ended, "of another issuer")}
    entries = (await list_entries(db, client.admin, AuditFilter(action="revokeToken"), Window())).items
    assert [entry.before["tokenId"] for entry in entries] == ["of another issuer", ended, long_ended]


async def test_a_use_of_a_key_is_noted_once_an_hour(db, client, statements, monkeypatch):
    one, another = Callers(db, TOKENS), Callers(db, TOKENS)  # as in two processes
    hour = timedelta(hours=1, seconds=1)

    async def used_by(callers):
        with statements() as ran:
            await scope_of(callers, client.headers())
            await noted(callers)
        (key,) = await read_api_keys(db, client.admin, [client.key.api_key_id])
        return key.last_used_at, ran.count("api_keys.note_use")

    before = datetime.now(UTC)
    first, count = await used_by(one)
    assert count == 1
    assert before <= first <= datetime.now(UTC)
    assert await used_by(one) == (first, 0)
    assert await used_by(another) == (first, 1)
    monkeypatch.setattr(auth, "time", lambda: time() + hour.total_seconds())
    assert (await used_by(another))[0] > first + hour - timedelta(seconds=2)


async def test_a_deleted_sandbox_is_refused_from_then_on(db, callers, client):
    admin = await scope_of(callers, client.headers(permissions=[Permission.ADMIN]))
    sandbox = await sandboxes.create_sandbox(db, admin, "dev", None, SandboxType.DEVELOPMENT)
    headers = client.headers(x_sandbox_name="dev")
    await scope_of(callers, headers)
    caller = callers.known(headers)
    await sandboxes.delete_sandbox(db, admin, sandbox.sandbox_id, "dev")
    with pytest.raises(Forbidden):
        await callers.confirm(caller)
    assert callers.known(headers) is None


async def test_a_changed_configuration_is_seen_from_then_on(db, callers, client):
    headers = client.headers(permissions=[Permission.CONFIG_WRITE])
    before = await scope_of(callers, headers)
    caller = callers.known(headers)
    await namespaces.create_namespace(db, before, code="Card", name="Card", kind=IdentityType.CROSS_DEVICE)
    after = await callers.confirm(caller)
    assert after.sandbox.config_version == before.sandbox.config_version + 1
    assert callers.known(headers).scope is after
    assert await scope_of(callers, headers) is after


async def test_a_token_that_expired_meanwhile_is_not_known(callers, client, monkeypatch):
    headers = client.headers()
    await scope_of(callers, headers)
    monkeypatch.setattr(auth, "time", lambda: time() + LIFETIME.total_seconds())
    assert callers.known(headers) is None


async def test_a_request_with_one_other_header_is_another_caller(callers, client):
    headers = client.headers()
    await scope_of(callers, headers)
    for name in headers:
        assert callers.known({header: value for header, value in headers.items() if header != name}) is None
        assert callers.known(headers | {name: headers[name] + " "}) is None
    fewer = client.headers(permissions=[])
    assert await scope_of(callers, fewer) != await scope_of(callers, headers)


async def test_the_least_recent_callers_are_forgotten(db, client, monkeypatch):
    monkeypatch.setattr(auth, "MAX_CACHED_CALLERS", 2)
    callers = Callers(db, TOKENS)
    one, two, three = (client.headers(permissions=[permission]) for permission in list(Permission)[:3])
    await scope_of(callers, one)
    await scope_of(callers, two)
    assert callers.known(one)
    await scope_of(callers, three)
    assert [callers.known(headers) is not None for headers in (one, two, three)] == [True, False, True]


async def test_concurrent_callers_share_a_statement_and_nothing_else(db, callers, client, statements):
    other = await client_of(db, "other")
    good = [client.headers(), other.headers(), client.headers(x_sandbox_name=None)] * 5
    wrong = [
        client.headers(x_api_key="no such key"),
        client.headers(x_gw_ims_org_id=str(other.organization.organization_id)),
        other.headers(x_sandbox_name="nowhere"),
    ]
    with statements() as ran:
        found = await asyncio.gather(*map(partial(scope_of, callers), good + wrong), return_exceptions=True)
    assert ran == ["tenants.authenticate"]
    scopes, faults = found[: len(good)], found[len(good) :]
    assert [one.organization for one in scopes] == [client.organization, other.organization, client.organization] * 5
    assert [getattr(one, "error_code", type(one)) for one in faults] == ["403003", "403025", Forbidden]
