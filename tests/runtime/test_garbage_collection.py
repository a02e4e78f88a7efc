"""Garbage of requests is freed after so many bytes, however few objects hold them."""

import gc
import weakref

import pytest

from gateway.runtime.garbage_collection import COLLECT_AFTER_BYTES, Garbage


class Circle:
    """Holds itself, so that a collection alone frees it."""

    def __init__(self):
        self.itself = self


@pytest.fixture
def lost():
    """Whether what nobody holds any more is still there, as long as the interpreter does not collect by itself."""
    gc.disable()
    here = weakref.ref(Circle())
    yield here
    gc.enable()


def test_garbage_is_collected_after_so_many_bytes(lost):
    garbage = Garbage()
    garbage.pass_through(COLLECT_AFTER_BYTES - 1)
    assert lost() is not None
    garbage.pass_through(1)
    assert lost() is None
