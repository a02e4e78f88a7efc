"""Tokens: ours, other issuers' with real keys fetched over HTTP, and everything that must not be believed."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

from gateway.domain.tenants import Permission
from gateway.errors import Unauthenticated, Unavailable
from gateway.server.tokens import OURS, TokenReader, issue_token
from gateway.settings import TokenIssuer

SECRET = "a secret of at least thirty-two bytes"
ORGANIZATION = uuid4()
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
FOREIGN = "https://idp.example"


def claims(**changes: Any) -> dict[str, Any]:
    said = {
        "iss": OURS,
        "aud": OURS,
        "exp": datetime.now(UTC) + timedelta(minutes=5),
        "org": str(ORGANIZATION),
        "sandboxes": ["prod"],
        "scope": "profile:read openid",
    }
    return {name: value for name, value in (said | changes).items() if value is not None}


async def refused(reader: TokenReader, token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await reader.read(token)
    assert (caught.value.status, caught.value.error_code) == (401, "401013")


# ---------------------------------------------------------------------------------------------- our own


async def test_a_token_says_what_it_was_issued_for():
    token = issue_token(SECRET, ORGANIZATION, [Permission.PROFILE_READ], ["dev"])
    said = await TokenReader(SECRET).read(token)
    assert (said.organization_id, said.permissions) == (ORGANIZATION, {Permission.PROFILE_READ})
    assert said.cover("dev")
    assert not said.cover("prod")
    hours = (said.expires_at - datetime.now(UTC).timestamp()) / 3600
    assert 23.9 < hours <= 24


async def test_a_token_for_every_sandbox_covers_those_that_come_later():
    said = await TokenReader(SECRET).read(issue_token(SECRET, ORGANIZATION, [], ["*"]))
    assert said.cover("not yet made")


async def test_scopes_of_other_services_are_none_of_ours():
    token = jwt.encode(claims(), SECRET, algorithm="HS256")
    assert (await TokenReader(SECRET).read(token)).permissions == {Permission.PROFILE_READ}


async def test_a_token_is_not_believed_past_its_end_even_if_it_was_before():
    reader = TokenReader(SECRET)
    token = issue_token(SECRET, ORGANIZATION, [], lifetime=timedelta(seconds=-1))
    await refused(reader, token)
    alive = issue_token(SECRET, ORGANIZATION, [])
    said = await reader.read(alive)
    reader._believed[alive] = type(said)(said.organization_id, said.sandboxes, said.permissions, 0)
    await refused(reader, alive)
    assert alive not in reader._believed


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"org": None},
        {"sandboxes": None},
        {"scope": None},
        {"aud": "another service"},
        {"iss": "https://stranger.example"},
        {"iss": None},
        {"org": "not a uuid"},
        {"org": 7},
        {"sandboxes": "prod"},
        {"sandboxes": [["prod"]]},
        {"scope": ["profile:read"]},
        {"nbf": datetime.now(UTC) + timedelta(hours=1)},
    ],
)
async def test_a_token_that_says_too_little_or_something_else_is_refused(changes):
    await refused(TokenReader(SECRET), jwt.encode(claims(**changes), SECRET, algorithm="HS256"))


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "e30.e30.", "é.é.é", "x" * 10_000])
async def test_garbage_is_refused(token):
    await refused(TokenReader(SECRET), token)


async def test_a_token_without_signature_or_with_another_secret_or_algorithm_is_refused():
    reader = TokenReader(SECRET)
    await refused(reader, jwt.encode(claims(), "", algorithm="none"))
    await refused(reader, jwt.encode(claims(), SECRET + "x", algorithm="HS256"))
    await refused(reader, jwt.encode(claims(), SECRET * 2, algorithm="HS512"))


# ---------------------------------------------------------------------------------------------- other issuers


@pytest.fixture
async def key_server() -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serves the public keys over HTTP, and counts who asks."""
    asked: list[bytes] = []
    keys = [
        json.loads(RSAAlgorithm.to_jwk(RSA_KEY.public_key())) | {"kid": "rsa", "use": "sig"},
        json.loads(ECAlgorithm.to_jwk(EC_KEY.public_key())) | {"kid": "ec", "use": "sig"},
    ]
    body = json.dumps({"keys": keys}).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys", asked


def issuer(url: str, *algorithms: str) -> TokenIssuer:
    return TokenIssuer(issuer=FOREIGN, audience="gateway", jwks_url=url, algorithms=algorithms or ("RS256",))


def foreign(key: Any, algorithm: str, kid: str, **changes: Any) -> str:
    said = claims(iss=FOREIGN, aud="gateway", **changes)
    return jwt.encode(said, key, algorithm=algorithm, headers={"kid": kid})


async def test_an_issuers_tokens_are_checked_with_its_keys_which_are_fetched_once(key_server):
    url, asked = key_server
    reader = TokenReader(SECRET, [issuer(url)])
    for scope in ["profile:read", "profile:write", "admin"]:
        said = await reader.read(foreign(RSA_KEY, "RS256", "rsa", scope=scope))
        assert said.permissions == {Permission(scope)}
    assert len(asked) == 1


async def test_only_the_pinned_algorithms_count(key_server):
    url, _ = key_server
    token = foreign(EC_KEY, "ES256", "ec")
    await refused(TokenReader(SECRET, [issuer(url)]), token)
    assert (await TokenReader(SECRET, [issuer(url, "ES256")]).read(token)).organization_id == ORGANIZATION


async def test_an_issuers_public_key_is_no_secret_of_an_hmac(key_server):
    url, _ = key_server
    public = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    said = claims(iss=FOREIGN, aud="gateway") | {"exp": 2_000_000_000}
    parts = [base64url_encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "rsa"}, said)]
    signature = base64url_encode(hmac.digest(public, b".".join(parts), "sha256"))
    await refused(TokenReader(SECRET, [issuer(url)]), b".".join([*parts, signature]).decode())


async def test_one_issuer_cannot_speak_for_another_or_for_us(key_server):
    url, _ = key_server
    reader = TokenReader(SECRET, [issuer(url)])
    await refused(reader, jwt.encode(claims(), RSA_KEY, algorithm="RS256", headers={"kid": "rsa"}))
    await refused(reader, jwt.encode(claims(iss=FOREIGN, aud="gateway"), SECRET, algorithm="HS256"))
    await refused(reader, foreign(RSA_KEY, "RS256", "rsa") + "x")
    await refused(reader, foreign(RSA_KEY, "RS256", "unknown"))


async def test_keys_that_cannot_be_fetched_are_no_fault_of_the_caller():
    reader = TokenReader(SECRET, [issuer("http://127.0.0.1:1/keys")])
    with pytest.raises(Unavailable):
        await reader.read(foreign(RSA_KEY, "RS256", "rsa"))
