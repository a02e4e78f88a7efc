"""Chance that is the same in every run: what depends on the order of random ids fails for everybody, or for nobody.

Ids and secrets are made from the system's random bytes. In this process they come from numbers that begin anew with each test and fixture,
by its name: so they depend neither on the run nor on what ran before in the same process.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

_random = Random()


def take_over() -> None:
    """Let this process have no other random bytes than these, but for temporary names."""
    os.urandom = secrets.token_bytes = _bytes


@contextmanager
def beginning_at(name: str) -> Iterator[None]:
    """Begin at this name as long as the block lasts, and go on afterwards where it was before."""
    before = _random.getstate()
    _random.seed(name)
    try:
        yield
    finally:
        _random.setstate(before)


def _bytes(count: int | None = None) -> bytes:
    return _random.randbytes(32 if count is None else count)
