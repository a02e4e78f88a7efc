"""The demo's page, which asks an edge for one person: three files, served to browsers of this machine by a thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final
from urllib.parse import urlencode

DIRECTORY: Final = Path(__file__).with_name("page")
SHUTDOWN_SECONDS: Final = 0.05
"""How long the thread takes to notice that it is to end."""


class _Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        """Let the page load nothing but its own files; it may ask any edge."""
        self.send_header("content-security-policy", "default-src 'self'; img-src data:; connect-src http:")
        self.send_header("referrer-policy", "no-referrer")
        self.send_header("cache-control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class calls it so)
        """Say nothing."""


@contextmanager
def served_page() -> Iterator[str]:
    """Serve the page at a free port of this machine; yield its origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=DIRECTORY)) as server:
        thread = Thread(target=server.serve_forever, args=(SHUTDOWN_SECONDS,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def link_to(origin: str, projection: str, token: str) -> str:
    """Return the page's address for a projection at an edge; the token is in the fragment, which no browser sends."""
    return f"{origin}/#{urlencode({'projection': projection, 'token': token})}"
