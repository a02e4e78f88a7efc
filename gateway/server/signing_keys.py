"""The secrets that sign our tokens: a current one and, after a rotation, the former one.

A token's header names the key that signed it, so that a key may be replaced, or one day be of another kind, while older tokens hold.
"""

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret that signs our tokens. `key_id` names it in their header `kid`, and tells nothing of it."""

    secret: str = field(repr=False)

    @property
    def key_id(self) -> str:
        return hashlib.sha256(b"name of a secret " + self.secret.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The key that signs new tokens, and the one that signed before, whose tokens are valid until they expire."""

    current: SigningKey
    former: SigningKey | None = None

    def named(self, key_id: str | None) -> tuple[SigningKey, ...]:
        """Return the keys that may have signed a token whose header has this `kid`; all of them if it has none."""
        keys = (self.current, self.former) if self.former else (self.current,)
        return keys if key_id is None else tuple(key for key in keys if key.key_id == key_id)
