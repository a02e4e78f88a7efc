"""`GET /`: what is where, for callers who have nothing but the address."""

from html import escape
from importlib.metadata import version
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway.server.http.negotiation import prefers_html
from gateway.server.http.responses import json_answer

TITLE: Final = "Profile gateway"

# Addresses are relative, so that they are right behind any prefix.
CONSOLE: Final = ("graphiql", "GET", "GraphiQL: the schema, and queries to try")
PLACES: Final = (
    ("graphql", "POST, GET", "GraphQL: every read and every change, with four headers that `gateway token` prints"),
    ("ingest/{datasetId}", "POST", "records or events as a stream of JSON lines"),
    ("schema.graphql", "GET", "the schema as a file, for code generators"),
    ("docs", "GET", "documents: how to use it, how to run it"),
    ("docs/{page}", "GET", "one of them, as a page or as `text/markdown`"),
    ("healthz", "GET", "200 while the process runs"),
    ("readyz", "GET", "200 while requests can be answered"),
    ("metrics", "GET", "counts and durations for Prometheus"),
)
PAGE: Final = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>{title}</title>
    <style>
      :root {{ color-scheme: light dark; }}
      body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 48rem; margin: 4rem auto; padding: 0 1rem; }}
      td {{ padding: 0.25rem 1rem 0.25rem 0; vertical-align: top; }}
    </style>
  </head>
  <body>
    <h1>{title}</h1>
    <p>A real-time customer profile service: one GraphQL graph over Postgres. Version {version}.</p>
    <table>
{rows}
    </table>
  </body>
</html>
"""
POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Index:
    """What the page and its JSON tell, which never changes while the process runs."""

    def __init__(self, *, has_console: bool) -> None:
        self._places = (PLACES[0], CONSOLE, *PLACES[1:]) if has_console else PLACES
        self._version = version("profile-gateway")

    async def answer(self, request: Request) -> Response:
        """Tell what is where: a page for browsers, JSON for everybody else."""
        if prefers_html(request.headers.get("accept")):
            headers = {"content-security-policy": POLICY, "vary": "Accept", "cache-control": "no-cache"}
            return HTMLResponse(self._page(), headers=headers)
        places = [
            {"path": f"/{path}", "methods": methods.split(", "), "what": what} for path, methods, what in self._places
        ]
        return json_answer({"name": TITLE, "version": self._version, "places": places}, headers=[(b"vary", b"Accept")])

    def _page(self) -> str:
        rows = "\n".join(_row(*place) for place in self._places)
        return PAGE.format(title=TITLE, version=escape(self._version), rows=rows)


def _row(path: str, methods: str, what: str) -> str:
    shown = f"<code>/{escape(path)}</code>"
    is_link = "GET" in methods and path != "graphql" and "{" not in path  # a query is wanted, or a name
    told = "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(escape(what).split("`")))
    return f'      <tr><td>{f"""<a href="{path}">{shown}</a>""" if is_link else shown}</td><td>{methods}</td><td>{told}</td></tr>'
