"""TLS in front of the embedded Postgres, which is built without it: an address at which clients of Postgres ask for TLS, and get nothing else.

What was decrypted goes to the server by TCP of this machine, where the server asks for the role's password as it would without this.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

from gateway.errors import ClusterError

MAX_CLIENTS: Final = 100
"""How many connections are open at once; the next ones wait to be accepted, as a listener's do."""
START_SECONDS: Final = 10
"""How long a client may take from its connection to the end of the TLS handshake."""
PAUSE_SECONDS: Final = 0.1
"""How long nobody is accepted after an error of accepting."""
_CHUNK: Final = 64 * 1024

_REQUEST: Final = Struct("!ii")
_SSL, _GSS = (8, 80877103), (8, 80877104)
_REFUSED: Final = b"SFATAL\0VFATAL\0C28000\0MThis address takes TLS only: add sslmode=verify-full to the address.\0\0"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of a certificate, with those that vouch for it, and of its key, without a passphrase."""

    chain: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Read the files anew, so that renewed ones need no restart. Raises ClusterError."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.chain, self.key, password="")  # else OpenSSL asks the terminal for one
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ClusterError(f"{self.chain} and {self.key} are no certificate with its key: {error}") from error
        return context


@asynccontextmanager
async def tls_listener(host: str, port: int, certificate: Certificate, to: tuple[str, int]) -> AsyncIterator[None]:
    """Accept clients of Postgres by TLS at an address, and connect each `to` the server. Raises ClusterError."""
    certificate.context()
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server(address[:2], family=family)
    except OSError as error:
        raise ClusterError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    listening.setblocking(False)
    with closing(listening):
        accepting = asyncio.create_task(_accept(listening, certificate, to))
        try:
            yield
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)


async def _accept(listening: socket.socket, certificate: Certificate, to: tuple[str, int]) -> None:
    places, clients = asyncio.Semaphore(MAX_CLIENTS), set[asyncio.Task[None]]()

    def end(task: asyncio.Task[None]) -> None:
        clients.discard(task)
        places.release()

    try:
        while True:
            await places.acquire()
            try:
                client, _ = await asyncio.get_running_loop().sock_accept(listening)
            except OSError:  # the client has gone, or too many files are open
                places.release()
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            clients.add(task := asyncio.create_task(_serve(client, certificate, to)))
            task.add_done_callback(end)
    finally:
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def _serve(client: socket.socket, certificate: Certificate, to: tuple[str, int]) -> None:
    """Serve a client until it or the server ends the connection, or it does not what it should."""
    with suppress(OSError, TimeoutError, ClusterError):  # errors of TLS are OSErrors
        async with asyncio.timeout(START_SECONDS):
            theirs = await _encrypted(client, certificate)
        if theirs is None:
            return
        with closing(theirs[1]):
            ours = await asyncio.open_connection(*to)
            with closing(ours[1]):
                await _relay(theirs, ours)


async def _encrypted(client: socket.socket, certificate: Certificate) -> Streams | None:
    """Return the streams of what was decrypted; None if the client does not ask for TLS. Raises OSError, ClusterError."""
    client.setblocking(False)
    try:
        if await _asks_for_tls(client):
            return await _streams(client, certificate.context())
    except BaseException:
        client.close()
        raise
    client.close()
    return None


async def _asks_for_tls(client: socket.socket) -> bool:
    """Read requests until the client asks for TLS, and agree. Nothing behind the request is read: it would not be encrypted."""
    loop = asyncio.get_running_loop()
    while True:
        request = b""
        while len(request) < _REQUEST.size:
            read = await loop.sock_recv(client, _REQUEST.size - len(request))
            if not read:
                return False
            request += read
        match _REQUEST.unpack(request):
            case code if code == _SSL:
                await loop.sock_sendall(client, b"S")
                return True
            case code if code == _GSS:
                await loop.sock_sendall(client, b"N")
            case _:
                await loop.sock_sendall(client, b"E" + (len(_REFUSED) + 4).to_bytes(4) + _REFUSED)
                return False


async def _streams(client: socket.socket, context: ssl.SSLContext) -> Streams:
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, client, ssl=context)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _relay(theirs: Streams, ours: Streams) -> None:
    """Pass on what either side sends, until one has ended."""
    both = [
        asyncio.create_task(_pass_on(reader, writer)) for reader, writer in ((theirs[0], ours[1]), (ours[0], theirs[1]))
    ]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in both:
            each.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
