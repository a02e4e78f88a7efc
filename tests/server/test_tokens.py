"""Tokens: ours, other issuers' with real keys fetched over HTTP, and all that must be refused."""

import asyncio
import gzip
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_encode
from key_server import KeyServer, key_set, serving
from signed import signed

from gateway.domain.rules.scope import Permission
from gateway.errors import Unauthenticated, Unavailable
from gateway.server import issuers
from gateway.server.issuers import FRESH_SECONDS, INTERVAL_SECONDS, STALE_SECONDS, IssuerKeys
from gateway.server.signing_keys import SigningKey, SigningKeys
from gateway.server.token_reader import TokenReader
from gateway.settings import OWN_ISSUER, TokenIssuer

SECRET = "a secret of at least thirty-two bytes"
KEYS = SigningKeys(SigningKey(SECRET))
ORGANIZATION = uuid4()
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
FOREIGN = "https://idp.example"


def claims(**changes: Any) -> dict[str, Any]:
    said = {
        "iss": OWN_ISSUER,
        "aud": OWN_ISSUER,
        "exp": datetime.now(UTC) + timedelta(minutes=5),
        "org": str(ORGANIZATION),
        "sandboxes": ["prod"],
        "scope": "profile:read openid",
    }
    return {name: value for name, value in (said | changes).items() if value is not None}


async def refused(reader: TokenReader, token: str, *, why: str | None = None) -> None:
    with pytest.raises(Unauthenticated, match=why) as caught:
        await reader.read(token)
    assert (caught.value.status, caught.value.error_code) == (401, "401013")
    assert ("has expired" in caught.value.message) == (why is not None)


# ---------------------------------------------------------------------------------------------- our own


async def test_a_token_contains_the_claims_it_was_issued_for():
    token = signed(SECRET, ORGANIZATION, [Permission.PROFILE_READ], ["dev"])
    said = await TokenReader(KEYS).read(token)
    assert (said.organization_id, said.permissions) == (ORGANIZATION, {Permission.PROFILE_READ})
    assert (said.subject, said.sandboxes) == ("ann", {"dev"})
    hours = (said.expires_at - datetime.now(UTC).timestamp()) / 3600
    assert 23.9 < hours <= 24


async def test_a_token_that_names_no_subject_is_named_by_its_issuer():
    given = claims()
    assert "sub" not in given
    read = TokenReader(KEYS).read
    assert (await read(jwt.encode(given, SECRET, algorithm="HS256"))).subject == OWN_ISSUER
    assert (await read(jwt.encode(given | {"sub": "ann"}, SECRET, algorithm="HS256"))).subject == "ann"


async def test_token_and_key_open_the_sandboxes_that_they_have_in_common():
    every, dev = [await TokenReader(KEYS).read(signed(SECRET, ORGANIZATION, [], names)) for names in (["*"], ["dev"])]
    assert (every.sandboxes_of(None), dev.sandboxes_of(None)) == ({"*"}, {"dev"})
    assert every.sandboxes_of(frozenset({"dev", "prod"})) == {"dev", "prod"}
    assert dev.sandboxes_of(frozenset({"dev", "prod"})) == {"dev"}
    assert dev.sandboxes_of(frozenset({"prod"})) == every.sandboxes_of(frozenset()) == set()


OTHER = SigningKey("another secret of at least thirty-two bytes")


@pytest.mark.parametrize("key_id", ["named", None])
async def test_tokens_of_the_former_secret_are_valid_and_those_of_an_older_one_are_not(key_id):
    token = signed(SECRET, ORGANIZATION)
    if key_id is None:  # as other programs sign them that have the secret
        token = jwt.encode(claims(), SECRET, algorithm="HS256")
    assert await TokenReader(SigningKeys(OTHER, SigningKey(SECRET))).read(token)
    await refused(TokenReader(SigningKeys(OTHER)), token)


async def test_a_token_of_a_secret_that_another_process_has_made_is_read_again_for():
    made = [SigningKeys(OTHER, SigningKey(SECRET)), None]
    reader = TokenReader(KEYS, reread=lambda: made.pop(0))
    assert await reader.read(signed(OTHER.secret, ORGANIZATION))
    assert await reader.read(signed(SECRET, ORGANIZATION))
    await refused(
        reader, signed("a third secret of at least thirty-two bytes", ORGANIZATION)
    )  # nor can they be read now
    assert made == []


async def test_scopes_of_other_services_are_ignored():
    token = jwt.encode(claims(), SECRET, algorithm="HS256")
    assert (await TokenReader(KEYS).read(token)).permissions == {Permission.PROFILE_READ}


async def test_an_expired_token_is_refused_even_if_it_was_verified_before():
    reader = TokenReader(KEYS)
    token = signed(SECRET, ORGANIZATION, [], lifetime=timedelta(seconds=-1))
    await refused(reader, token, why="expired.*gateway token")
    not_ours = signed(SECRET * 2, ORGANIZATION, [], lifetime=timedelta(seconds=-1))
    await refused(reader, not_ours)
    alive = signed(SECRET, ORGANIZATION, [])
    said = await reader.read(alive)
    reader._verified.put(alive, replace(said, expires_at=0), 1)
    await refused(reader, alive, why="expired")
    assert reader._verified.get(alive) is None


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
        {"sub": 7},
        {"sub": ""},
        {"sub": "nul\0"},
        {"sub": "x" * 256},
        {"jti": 7},
        {"jti": "x" * 256},
        {"nbf": datetime.now(UTC) + timedelta(hours=1)},
    ],
)
async def test_a_token_with_missing_or_wrong_claims_is_refused(changes):
    await refused(TokenReader(KEYS), jwt.encode(claims(**changes), SECRET, algorithm="HS256"))


def unsigned(payload: str, header: str = '{"alg": "HS256", "typ": "JWT"}') -> str:
    return ".".join([*(base64url_encode(part.encode()).decode() for part in (header, payload)), "c2ln"])


DEEP = "[" * 20_000
GARBAGE = [
    *("", "nonsense", "a.b.c", "e30.e30.", "é.é.é", "x" * 10_000),
    *(unsigned(payload) for payload in ("[]", "7", '"x"', DEEP, f'{{"iss": {DEEP}', '{"iss": []}', '{"exp": 1e400}')),
    *(unsigned('{"iss": "https://idp.example"}', header) for header in ("[]", "{}", DEEP, '{"alg": {}, "kid": []}')),
    unsigned('{"iss": "profile-gateway", "exp": ' + "9" * 5_000 + "}"),
]


@pytest.mark.parametrize("token", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_is_refused(token):
    await refused(TokenReader(KEYS, [issuer("https://idp.example/keys")]), token)


async def test_a_token_without_signature_or_with_another_secret_or_algorithm_is_refused():
    reader = TokenReader(KEYS)
    await refused(reader, jwt.encode(claims(), "", algorithm="none"))
    await refused(reader, jwt.encode(claims(), SECRET + "x", algorithm="HS256"))
    await refused(reader, jwt.encode(claims(), SECRET * 2, algorithm="HS512"))


# ---------------------------------------------------------------------------------------------- other issuers


@pytest.fixture
async def key_server() -> AsyncIterator[KeyServer]:
    async with serving(key_set(rsa=RSA_KEY, ec=EC_KEY)) as serves:
        yield serves


@pytest.fixture
def clock(monkeypatch):
    """The time of all key caches, moved by hand."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr("gateway.server.token_reader.IssuerKeys", lambda each: IssuerKeys(each, lambda: now.seconds))
    return now


def issuer(url: str, *algorithms: str) -> TokenIssuer:
    return TokenIssuer(issuer=FOREIGN, audience="gateway", jwks_url=url, algorithms=algorithms or ("RS256",))


def foreign(key: Any, algorithm: str, kid: str, **changes: Any) -> str:
    said = claims(**{"iss": FOREIGN, "aud": "gateway"} | changes)
    return jwt.encode(said, key, algorithm=algorithm, headers={"kid": kid})


async def test_an_issuers_tokens_are_checked_with_its_keys_which_are_fetched_once(key_server):
    reader = TokenReader(KEYS, [issuer(key_server.url)])
    for scope in ["profile:read", "profile:write", "admin"]:
        said = await reader.read(foreign(RSA_KEY, "RS256", "rsa", scope=scope))
        assert said.permissions == {Permission(scope)}
    assert key_server.asked == 1


async def test_only_the_pinned_algorithms_count(key_server):
    token = foreign(EC_KEY, "ES256", "ec")
    await refused(TokenReader(KEYS, [issuer(key_server.url)]), token)
    assert (await TokenReader(KEYS, [issuer(key_server.url, "ES256")]).read(token)).organization_id == ORGANIZATION


async def test_an_issuers_public_key_is_not_accepted_as_an_hmac_secret(key_server):
    public = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    said = claims(iss=FOREIGN, aud="gateway") | {"exp": 2_000_000_000}
    parts = [base64url_encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "rsa"}, said)]
    signature = base64url_encode(hmac.digest(public, b".".join(parts), "sha256"))
    await refused(TokenReader(KEYS, [issuer(key_server.url)]), b".".join([*parts, signature]).decode())


async def test_one_issuer_cannot_sign_for_another_or_for_us(key_server):
    reader = TokenReader(KEYS, [issuer(key_server.url)])
    await refused(reader, jwt.encode(claims(), RSA_KEY, algorithm="RS256", headers={"kid": "rsa"}))
    await refused(reader, jwt.encode(claims(iss=FOREIGN, aud="gateway"), SECRET, algorithm="HS256"))
    await refused(reader, foreign(RSA_KEY, "RS256", "rsa") + "x")
    await refused(reader, foreign(RSA_KEY, "RS256", "unknown"))
    assert key_server.asked == 1


async def test_keys_that_cannot_be_fetched_are_unavailable_and_no_error_of_the_caller():
    reader = TokenReader(KEYS, [issuer("http://127.0.0.1:1/keys")])
    with pytest.raises(Unavailable):
        await reader.read(foreign(RSA_KEY, "RS256", "rsa"))


async def waits(reader: TokenReader, token: str, server: KeyServer) -> asyncio.Task[Any]:
    """Return a task that reads the token, and waits for the issuer by now."""
    server.came.clear()
    task = asyncio.create_task(reader.read(token))
    async with asyncio.timeout(30):
        await server.came.wait()
    return task


async def test_a_token_of_ours_never_waits_for_another_issuer(key_server):
    key_server.speaks.clear()
    reader = TokenReader(KEYS, [issuer(key_server.url)])
    waiting = [await waits(reader, foreign(RSA_KEY, "RS256", "unknown-0"), key_server)]
    waiting += [asyncio.create_task(reader.read(foreign(RSA_KEY, "RS256", f"unknown-{n}"))) for n in range(1, 40)]
    ours = asyncio.create_task(reader.read(signed(SECRET, ORGANIZATION, [])))
    await asyncio.sleep(0)  # one turn of the loop for each of them
    assert ours.done()
    assert not any(task.done() for task in waiting)
    key_server.speaks.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(error) for error in found} == {Unauthenticated}
    assert key_server.asked == 1


async def test_a_silent_issuer_delays_no_other(key_server):
    silent = KeyServer(answer=key_server.answer)
    server = await asyncio.start_server(silent.handle, "127.0.0.1", 0)
    async with server:
        silent.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
        other = issuer(silent.url).model_copy(update={"issuer": "https://silent.example"})
        reader = TokenReader(KEYS, [other, issuer(key_server.url)])
        held = await waits(reader, foreign(RSA_KEY, "RS256", "rsa", iss="https://silent.example"), silent)
        assert (await reader.read(foreign(RSA_KEY, "RS256", "rsa", scope="admin"))).permissions == {Permission.ADMIN}
        assert not held.done()
        silent.speaks.set()
        await held


async def test_unknown_keys_are_fetched_at_most_once_in_an_interval(key_server, clock):
    reader = TokenReader(KEYS, [issuer(key_server.url)])
    for fetches in range(1, 4):
        for number in range(20):
            await refused(reader, foreign(RSA_KEY, "RS256", f"{fetches}-{number}"))
        assert key_server.asked == fetches
        clock.seconds += INTERVAL_SECONDS
    key_server.answer = key_set(new=RSA_KEY)
    assert (await reader.read(foreign(RSA_KEY, "RS256", "new"))).organization_id == ORGANIZATION


async def test_an_algorithm_that_is_not_pinned_causes_no_fetch(key_server):
    await refused(TokenReader(KEYS, [issuer(key_server.url)]), foreign(EC_KEY, "ES256", "unknown"))
    assert key_server.asked == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"status": "503 Service Unavailable"},
        {"status": "302 Found", "more": "location: http://127.0.0.1:1/elsewhere\r\n"},
        {"answer": b"not JSON"},
        {"answer": b"[" * 100_000},
        {"answer": b'{"keys": {}}'},
        {"answer": b'{"keys": [], "more": "' + b"x" * issuers.MAX_KEY_SET_BYTES + b'"}'},
        {"more": "content-encoding: gzip\r\n"},
    ],
    ids=["away", "redirects", "text", "deep", "shape", "long", "packed"],
)
async def test_an_issuer_that_responds_badly_is_not_asked_again_for_a_while(key_server, clock, fault):
    good = {name: getattr(key_server, name) for name in fault}
    vars(key_server).update(fault)
    if "content-encoding" in key_server.more:
        key_server.answer = gzip.compress(key_server.answer)
    reader, token = TokenReader(KEYS, [issuer(key_server.url)]), foreign(RSA_KEY, "RS256", "rsa")
    for _ in range(5):
        with pytest.raises(Unavailable):
            await reader.read(token)
    assert key_server.asked == 1
    vars(key_server).update(good)
    key_server.answer = key_set(rsa=RSA_KEY)
    clock.seconds += INTERVAL_SECONDS
    assert (await reader.read(token)).organization_id == ORGANIZATION


async def test_a_fetch_has_a_deadline(key_server, monkeypatch):
    monkeypatch.setattr(issuers, "FETCH_SECONDS", 0.01)
    key_server.speaks.clear()
    with pytest.raises(Unavailable):
        await TokenReader(KEYS, [issuer(key_server.url)]).read(foreign(RSA_KEY, "RS256", "rsa"))


async def test_keys_outlive_an_unreachable_issuer_for_a_while_and_withdrawn_keys_are_refused(key_server, clock):
    reader = TokenReader(KEYS, [issuer(key_server.url)])
    await reader.read(foreign(RSA_KEY, "RS256", "rsa"))
    key_server.status = "500 Internal Server Error"
    clock.seconds += FRESH_SECONDS + 1
    assert (await reader.read(foreign(RSA_KEY, "RS256", "rsa", scope="a"))).organization_id == ORGANIZATION
    clock.seconds += STALE_SECONDS
    with pytest.raises(Unavailable):
        await reader.read(foreign(RSA_KEY, "RS256", "rsa", scope="b"))
    key_server.status, key_server.answer = "200 OK", key_set(ec=EC_KEY)
    clock.seconds += INTERVAL_SECONDS
    await refused(reader, foreign(RSA_KEY, "RS256", "rsa", scope="c"))


async def test_broken_keys_of_a_set_are_ignored(key_server):
    broken = [None, 7, {}, {"kty": "RSA", "kid": "rsa"}, {"kty": "EC", "crv": "P-256", "x": "é", "y": 1, "kid": "rsa"}]
    key_server.answer = json.dumps({"keys": broken + json.loads(key_server.answer)["keys"]}).encode()
    reader = TokenReader(KEYS, [issuer(key_server.url)])
    assert (await reader.read(foreign(RSA_KEY, "RS256", "rsa"))).organization_id == ORGANIZATION


async def test_public_keys_that_sign_are_published_for_as_long_as_they_are_used(key_server):
    now, private = SimpleNamespace(seconds=1000.0), json.loads(ECAlgorithm.to_jwk(EC_KEY)) | {"kid": "private"}
    listed = [
        private,
        {"kid": "none"},
        private | {"kid": "encrypts", "use": "enc"},
        *json.loads(key_server.answer)["keys"],
    ]
    key_server.answer = json.dumps({"keys": listed}).encode()
    keys = IssuerKeys(issuer(key_server.url), lambda: now.seconds)
    assert keys.published() is None
    await keys.refresh()
    told = json.loads(keys.published())["keys"]
    assert [each["kid"] for each in told] == ["private", "rsa", "ec"]
    assert "d" in private
    assert not any("d" in each for each in told)
    now.seconds += STALE_SECONDS + 1
    assert json.loads(keys.published()) == {"keys": []}


LEEWAY = 60


@pytest.mark.parametrize(
    ("claim", "seconds", "is_good"),
    [
        *[(claim, ahead, ahead < LEEWAY) for claim in ("iat", "nbf") for ahead in (1, 50, 90)],
        *[("exp", -ago, ago < LEEWAY) for ago in (1, 50, 90)],
    ],
)
async def test_the_clock_of_an_issuer_may_differ_by_the_leeway(key_server, claim, seconds, is_good):
    reader = TokenReader(KEYS, [issuer(key_server.url)], LEEWAY)
    moment = {claim: datetime.now(UTC) + timedelta(seconds=seconds)}
    for token in foreign(RSA_KEY, "RS256", "rsa", **moment), jwt.encode(claims(**moment), SECRET, algorithm="HS256"):
        for _ in range(2):  # the second time it is remembered
            if is_good:
                assert (await reader.read(token)).organization_id == ORGANIZATION
            else:
                await refused(reader, token, why="expired" if claim == "exp" else None)
