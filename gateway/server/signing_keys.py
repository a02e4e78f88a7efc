"""The keys of our tokens: a current one that signs and, after a rotation, the former one; and their public halves, which verify.

A key is made from a secret and signs by Ed25519, so that edges verify with public keys alone. A token's header names the key that signed it,
so that a key may be replaced while older tokens hold. Secrets of former releases signed by HS256: who has such a secret takes those tokens, too,
until it is replaced.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from gateway.runtime.late import late

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives.kdf import hkdf
else:  # commands read the secrets, and most of them sign and verify nothing
    hashes, ed25519, hkdf = (
        late(f"cryptography.hazmat.primitives.{name}") for name in ("hashes", "asymmetric.ed25519", "kdf.hkdf")
    )

ALGORITHM: Final = "EdDSA"
"""Of the tokens that we sign, by its name in a token's header."""
FORMER_ALGORITHM: Final = "HS256"
"""Of the tokens that former releases signed."""

MARK: Final = "ed25519:"
"""The beginning of secrets by which nothing was ever signed but Ed25519."""

_PURPOSE: Final = b"profile gateway: tokens"
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """What verifies tokens whose header names `key_id`. `shared_secret` is that of tokens of former releases, None where there are none."""

    key_id: str
    public_key: "ed25519.Ed25519PublicKey"
    shared_secret: str | None = field(default=None, repr=False)

    def material(self, algorithm: object) -> Any:
        """Return what verifies a token of this algorithm, None if nothing of this key does."""
        return {ALGORITHM: self.public_key, FORMER_ALGORITHM: self.shared_secret}.get(str(algorithm))


class TokenKeys(Protocol):
    """The keys by which tokens are verified."""

    def named(self, key_id: str | None) -> tuple[VerifyingKey, ...]:
        """Return the keys that may have signed a token whose header has this `kid`; all of them if it has none."""
        ...


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret that signs our tokens. `key_id` names it in their header `kid`, and tells nothing of it."""

    secret: str = field(repr=False)

    @property
    def key_id(self) -> str:
        return hashlib.sha256(b"name of a secret " + self.secret.encode()).hexdigest()[:16]

    @property
    def private_key(self) -> "ed25519.Ed25519PrivateKey":
        return _private_key(self.secret)

    @property
    def public_bytes(self) -> bytes:
        """The public key as its 32 bytes."""
        return self.private_key.public_key().public_bytes_raw()

    @property
    def verifying(self) -> VerifyingKey:
        """What verifies the tokens that it has signed."""
        shared = None if self.secret.startswith(MARK) else self.secret
        return VerifyingKey(self.key_id, self.private_key.public_key(), shared)


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The key that signs new tokens, and the one that signed before, whose tokens are valid until they expire."""

    current: SigningKey
    former: SigningKey | None = None

    @property
    def all(self) -> tuple[SigningKey, ...]:
        return (self.current, self.former) if self.former else (self.current,)

    @property
    def public(self) -> dict[str, bytes]:
        """The public keys, as their 32 bytes, by the ids of the keys."""
        return {key.key_id: key.public_bytes for key in self.all}

    def named(self, key_id: str | None) -> tuple[VerifyingKey, ...]:
        """Return the keys that may have signed a token whose header has this `kid`; all of them if it has none."""
        return tuple(key.verifying for key in self.all if key_id in (None, key.key_id))


class PublicKeys:
    """Public keys alone, each as its 32 bytes, by the ids of their keys: nothing can be signed with them, and no token of HS256 is taken."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = {
            key_id: VerifyingKey(key_id, ed25519.Ed25519PublicKey.from_public_bytes(raw))
            for key_id, raw in keys.items()
        }

    def named(self, key_id: str | None) -> tuple[VerifyingKey, ...]:
        """Return the keys that may have signed a token whose header has this `kid`; all of them if it has none."""
        if key_id is None:
            return tuple(self._keys.values())
        return (self._keys[key_id],) if key_id in self._keys else ()


def new_secret() -> str:
    """Return a secret of a new key."""
    return MARK + secrets.token_urlsafe(48)


@lru_cache(16)
def _private_key(secret: str) -> "ed25519.Ed25519PrivateKey":
    seed = hkdf.HKDF(hashes.SHA256(), _KEY_BYTES, salt=None, info=_PURPOSE).derive(secret.encode())
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed)
