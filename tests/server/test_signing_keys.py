"""Who verifies our tokens with what, and tokens that are bound to one projection."""

from uuid import uuid4

import jwt
import pytest
from jwt.utils import base64url_encode
from signed import signed

from gateway.domain.config.tokens import Binding, new_token, signing_key_hash
from gateway.domain.rules.scope import Permission
from gateway.errors import Unauthenticated
from gateway.server.signing_keys import PublicKeys, SigningKey, SigningKeys, new_secret
from gateway.server.token_reader import TokenReader
from gateway.server.tokens import sign_token
from gateway.settings import OWN_ISSUER

ORGANIZATION = uuid4()
KEY, OTHER = SigningKey(new_secret()), SigningKey(new_secret())
FORMER = SigningKey("the secret of a release that signed by HS256")
BINDING = Binding(uuid4(), "Email", "ada@example.com")
SAID = {
    "iss": OWN_ISSUER,
    "aud": OWN_ISSUER,
    "exp": 2**40,
    "org": str(ORGANIZATION),
    "sandboxes": ["prod"],
    "scope": "",
}


async def refused(keys, token):
    with pytest.raises(Unauthenticated) as caught:
        await TokenReader(keys).read(token)
    assert (caught.value.status, caught.value.error_code) == (401, "401013")


@pytest.mark.parametrize(
    "keys", [SigningKeys(KEY, OTHER), PublicKeys(SigningKeys(OTHER, KEY).public)], ids=["hub", "edge"]
)
async def test_a_token_is_verified_with_the_public_key_and_by_no_other_algorithm(keys):
    assert (await TokenReader(keys).read(signed(KEY.secret, ORGANIZATION))).hashes >= {signing_key_hash(KEY.key_id)}
    await refused(keys, signed(new_secret(), ORGANIZATION))
    for header in ({}, {"kid": KEY.key_id}):
        for secret in (KEY.secret, KEY.public_bytes, KEY.public_bytes.hex()):
            await refused(keys, jwt.encode(SAID, secret, algorithm="HS256", headers=header))
        none = jwt.encode(SAID, None, algorithm="none", headers=header)
        await refused(keys, none)
        await refused(keys, none + base64url_encode(b"x" * 64).decode())


async def test_tokens_of_former_releases_are_taken_by_who_has_their_secret_and_not_by_edges():
    token = jwt.encode(SAID, FORMER.secret, algorithm="HS256")
    assert await TokenReader(SigningKeys(KEY, FORMER)).read(token)
    await refused(SigningKeys(KEY, OTHER), token)
    await refused(PublicKeys(SigningKeys(KEY, FORMER).public), token)


async def test_a_token_says_what_alone_it_opens():
    bound = new_token("ann", [Permission.PROFILE_READ], ["dev"], bound_to=BINDING)
    claims = await TokenReader(SigningKeys(KEY)).read(sign_token(KEY, ORGANIZATION, bound))
    assert (claims.bound_to, claims.sandboxes, claims.permissions) == (BINDING, {"dev"}, {Permission.PROFILE_READ})
    assert (await TokenReader(SigningKeys(KEY)).read(signed(KEY.secret, ORGANIZATION))).bound_to is None


@pytest.mark.parametrize(
    "claim",
    [
        None, {}, [], "x", {**BINDING.claim, "configuration": "x"}, {**BINDING.claim, "configuration": 1}, {**BINDING.claim, "identity": {}},
        {**BINDING.claim, "identity": []}, {**BINDING.claim, "identity": {"namespace": "Email", "value": 1}},
    ],
)  # fmt: skip
async def test_a_token_that_is_bound_to_what_cannot_be_read_opens_nothing(claim):
    await refused(SigningKeys(KEY), jwt.encode(SAID | {"projection": claim}, KEY.private_key, algorithm="EdDSA"))
