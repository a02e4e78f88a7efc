"""The key by which an edge knows the identities of a sandbox.

The hub derives it from the sandbox's secret and the name of the data centre. Identities are hashed with it as they are at the hub with the
secret itself; so nobody who reads an edge learns the keys of the hub, or those of another edge.
"""

from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32
MAX_CACHED_KEYS: Final = 4_096


@lru_cache(MAX_CACHED_KEYS)
def edge_key(secret: bytes, data_center: str) -> bytes:
    """Return the key, of 32 bytes, of an edge for the sandbox with this secret: `xids_in` hashes identities with it."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"edge " + data_center.encode()).derive(secret)
