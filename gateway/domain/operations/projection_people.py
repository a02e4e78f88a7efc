"""People as edges know them: the ids of profiles, enciphered for each edge by a key that only the hub has.

An edge can tell nobody which person of the hub a row is of, or of another edge. The hub can, so that it finds out from the edge itself which people
it has to look at again.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.domain.config.configuration import Configuration
from gateway.domain.rules.graphs import xids_in
from gateway.runtime.uuids import uuid_of

_BYTES: Final = 16


class People:
    """The people of one sandbox at one edge. An id is a block of the cipher, so that each has one form, and no two the same."""

    def __init__(self, secret: bytes, data_center: str) -> None:
        """`secret` is the sandbox's."""
        self._cipher = Cipher(AES(_key(secret, data_center)), ECB())  # noqa: S305 (blocks that are all different)

    def hidden(self, profile_ids: Sequence[UUID]) -> list[UUID]:
        """Return these people as the edge knows them, in order."""
        encrypting = self._cipher.encryptor()
        return _blocks(encrypting.update(b"".join(each.bytes for each in profile_ids)) + encrypting.finalize())

    def shown(self, people: Sequence[UUID]) -> list[UUID]:
        """Return the ids of the profiles of people that the edge knows so, in order."""
        decrypting = self._cipher.decryptor()
        return _blocks(decrypting.update(b"".join(each.bytes for each in people)) + decrypting.finalize())


def identity_keys(config: Configuration, key: bytes, identities: Mapping[str, Sequence[str]]) -> list[UUID]:
    """Return how an edge with this key knows identities, which are given by the codes of their namespaces."""
    found = list[UUID]()
    for code, values in identities.items():
        if (namespace := config.namespace(code)) is not None:
            found += map(xids_in(key, namespace.namespace_id), values)
    return found


@lru_cache(4_096)
def _key(secret: bytes, data_center: str) -> bytes:
    return HKDF(SHA256(), _BYTES, salt=None, info=b"people " + data_center.encode()).derive(secret)


def _blocks(text: bytes) -> list[UUID]:
    return [uuid_of(text[start : start + _BYTES]) for start in range(0, len(text), _BYTES)]
