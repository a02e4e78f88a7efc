"""The port of a server process."""

import pickle
import socket

from gateway.server.process import RECEIVE_BYTES, bind
from gateway.settings import Settings


def test_what_the_kernel_keeps_of_an_unread_connection_is_bounded_in_every_worker():
    with bind(Settings(port=0)) as port, pickle.loads(pickle.dumps(port)) as of_worker:  # noqa: S301 (as a worker gets it)
        for bound in (port, of_worker):
            assert bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * RECEIVE_BYTES
