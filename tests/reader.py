"""A reader who does what a document says: runs its blocks in their order, beside the demo, in a directory of their own.

(none)   a diagram: every file and folder that it names is there.
sh       run by bash. `.venv` is the environment of the tests, the demo's data directory is the default one, and `http://127.0.0.1:8000`
         is where the demo listens. A command that serves is started, and ended as soon as it is ready.
text     what the command before it printed, line by line; `…` stands for anything.
graphql  sent to the demo, into the sandbox that a comment names. Where no answer is shown, it goes without errors, also in `userErrors`.
json     variables of the operation before it, or (with `data`) its answer; else what the command before it printed. Lists may
         come in another order, since many stand in that of keys which differ from sandbox to sandbox; `…` stands for any value.
sql      run by the superuser of a Postgres of one's own, in the database `profiles`, or beside it where a role or a database is made.
ini      the settings of a pgbouncer, which is started in front of that Postgres.
ts       written to the file that its first line names. Operations in it fit the schema that was fetched before, and every scalar of
         that schema is listed where types are generated.
python   written to the file that its first line names.

What needs the network or minutes (`pip install`, `npm`) is run where `INSTALL_ANEW` is set, as `.ci/run` does, and npm is there.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from graphql import GraphQLScalarType, build_schema, is_specified_scalar_type, parse, validate
from own_postgres import OwnPostgres, oldest_postgres
from places import reachable_directory
from pooler import pgbouncer
from program import Server, environment

from gateway.server.http.docs import NAMES
from hatch_build import STATIC, is_current

HERE = Path(__file__).parents[1]
ADDRESS = "http://127.0.0.1:8000"
OWN_DATABASE = re.compile(r"(postgresql://\w+:[\w%]+)@(db\.example|127\.0\.0\.1:6432)/profiles")
SERVES = re.compile(r"\bgateway (?:demo|serve|worker|edge)(?!.*--help)")
NEEDS_NETWORK = re.compile(r"\bpip install\b|\bnpm\b|\bnpx\b")
PLACEHOLDER = re.compile(r"<id of the (\w+) '([^']+)'>")
LISTS = {"dataset": "datasets { nodes { id called: name } }", "schema": "schemas { nodes { id called: title } }",
         "policy": "mergePolicies { nodes { id called: name } }", "sandbox": "sandboxes { nodes { id called: name } }",
         "destination": "projectionDestinations { nodes { id called: type } }", "projection": "projectionConfigurations { nodes { id called: name } }"}  # fmt: skip
NAMED = re.compile(r"(?<![\w/])(?:gateway|api|domain|server|sql|tests)/[\w/.]+")
ANYTHING = "…"


class Reader:
    """Runs blocks one after the other; `finish` runs what the last one left to do."""

    def __init__(self, demo: Server, place: Path, stack: ExitStack) -> None:
        self._demo, self._place, self._stack = demo, place, stack
        self._printed = ""
        self._operation: tuple[str, Any] | None = None
        self._own: OwnPostgres | None = None
        self._users: dict[str, str] = {}
        self._pooler_port: int | None = None
        self._executors: dict[str, Callable[[str], None]] = {
            name: getattr(self, f"_{name or 'diagram'}")
            for name in ("", "sh", "text", "graphql", "json", "sql", "ini", "ts", "python")
        }
        (place / ".venv").symlink_to(sys.prefix)

    def take(self, language: str, text: str) -> None:
        """Run a block. Raises KeyError for a language without a runner, AssertionError where the result differs from the document."""
        executor = self._executors[language]
        if language != "json":
            self.finish()
        executor(text)

    def finish(self) -> None:
        """Send the operation that waits for its variables or its answer."""
        if self._operation is not None:
            answer = self._ask()
            assert "errors" not in answer, answer
            assert list(user_errors(answer)) == [], answer

    # ------------------------------------------------------------------------------------------ commands

    def _sh(self, text: str) -> None:
        if NEEDS_NETWORK.search(text) and ("INSTALL_ANEW" not in os.environ or _lacks_npm(text)):
            self._printed = ANYTHING
        elif "pip install" in text:
            self._in_a_fresh_clone(text)
        elif ".ci/run" in text:
            self._check_script(text)
        elif SERVES.search(text):
            self._serve(text, self._place)
        else:
            result = subprocess.run(**self._bash(text), capture_output=True, check=False)
            assert result.returncode == 0, result.stdout + result.stderr
            self._printed = result.stdout

    def _bash(self, text: str, cwd: Path | None = None) -> dict[str, Any]:
        text, own = OWN_DATABASE.subn(self._own_address, text.replace(ADDRESS, self._demo.url))
        data_dir = self._place / "own" if own else self._demo.data_dir
        env = environment(GATEWAY_DATA_DIR=str(data_dir), GATEWAY_PORT="0", HOME=str(self._place))
        command = ["bash", "-euo", "pipefail", "-c", text]
        return {"args": command, "cwd": cwd or self._place, "env": env, "text": True}

    def _own_address(self, match: re.Match[str]) -> str:
        login, host = match.groups()
        if host == "db.example":
            return f"{login}@/profiles?{urlencode(self._own_postgres().where)}"
        return f"{login}@127.0.0.1:{self._pooler_port}/profiles"

    def _serve(self, text: str, place: Path) -> None:
        with subprocess.Popen(**self._bash(text, place), stdout=subprocess.PIPE, start_new_session=True) as process:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            ready = next((line for line in lines if line.startswith(("ready ", "working"))), "")
            if "gateway demo" in text:
                self._look_at(ready.removeprefix("ready ").removesuffix("graphql\n"), next(lines))
            if "--edges" in text:
                look_at_projection(next(line for line in lines if line.startswith("page: ")))
            if ready:
                os.killpg(process.pid, signal.SIGTERM)
            assert list(lines) == []
        assert ready, f"{text} did not say that it is ready"

    def _look_at(self, url: str, link: str) -> None:
        """The pages of a server that is ready."""
        page = httpx.get(link.removeprefix("GraphiQL: ").strip(), follow_redirects=True)
        assert page.status_code in {200, 503}  # 503 says how to build the page where there is no Node
        assert {httpx.get(f"{url}docs/{name}").status_code for name in NAMES} == {200}

    def _in_a_fresh_clone(self, text: str) -> None:
        """Make a directory with the files of a fresh clone, and the console where it was built of the same sources: that takes half of the time."""
        place = self._stack.enter_context(reachable_directory())
        if is_current(HERE):
            shutil.copytree(HERE / STATIC, place / STATIC)
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True).stdout
        for name in filter(None, listed.split("\0")):
            if (HERE / name).exists():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes((HERE / name).read_bytes())
        self._serve(_quickly(text), place)

    def _check_script(self, text: str) -> None:
        """These tests are part of what it runs, so it is only looked at."""
        script = HERE / text.removeprefix("bash").strip()
        subprocess.run(["bash", "-n", script], check=True)
        steps = script.read_text()
        assert all(step in steps for step in ["ruff check", "ruff format --check", "mypy", "lint-imports", "pytest"])

    def _diagram(self, text: str) -> None:
        for named in NAMED.findall(text):
            found = (HERE / named, HERE / "gateway" / named, HERE / "gateway" / f"{named}.py")
            assert any(path.exists() for path in found), named

    def _text(self, text: str) -> None:
        if self._printed != ANYTHING:
            pattern = re.escape(text.strip()).replace(ANYTHING, ".*")
            assert re.fullmatch(pattern, self._printed.strip(), re.DOTALL), self._printed

    # ------------------------------------------------------------------------------------------ GraphQL

    def _graphql(self, text: str) -> None:
        self._operation = (text, None)

    def _json(self, text: str) -> None:
        value = json.loads(text)
        if self._operation is None:
            assert self._printed == ANYTHING or alike(value, json.loads(self._printed)), self._printed
        elif "data" in value or "errors" in value:
            answer = self._ask()
            assert alike(value, answer), json.dumps(answer, ensure_ascii=False, indent=2)
        else:
            self._operation = (self._operation[0], value)

    def _ask(self) -> Any:
        assert self._operation is not None
        (query, variables), self._operation = self._operation, None
        with self._demo.client() as client:
            if sandbox := re.match(r"# In the sandbox (\w+)\n", query):
                client.headers["x-sandbox-name"] = sandbox[1]
            filled = PLACEHOLDER.sub(lambda match: self._id(client, *match.groups()), json.dumps(variables))
            return client.post("/graphql", json={"query": query, "variables": json.loads(filled)}).json()

    def _id(self, client: httpx.Client, kind: str, called: str) -> str:
        answer = client.post("/graphql", json={"query": f"{{ list: {LISTS[kind]} }}"}).json()
        found: dict[str, str] = {node["called"]: node["id"] for node in answer["data"]["list"]["nodes"]}
        return found[called]

    # ------------------------------------------------------------------------------------------ Postgres

    def _own_postgres(self) -> OwnPostgres:
        if self._own is None:
            self._own = self._stack.enter_context(oldest_postgres())
        return self._own

    def _sql(self, text: str) -> None:
        for statement in filter(None, map(str.strip, text.split(";"))):
            self._users.update(re.findall(r"role (\w+) login password '(.*)'", statement))
            about_all = re.match(r"(?:create|drop) (?:database|role)\b", statement)
            work = self._own_postgres().execute(statement, database="postgres" if about_all else "profiles")
            with ThreadPoolExecutor(1) as beside:  # the loop of this thread is that of other tests
                beside.submit(asyncio.run, work).result()

    def _ini(self, text: str) -> None:
        where = " ".join(f"{name}={value}" for name, value in self._own_postgres().where.items())
        users = "".join(f'"{name}" "{password}"\n' for name, password in self._users.items())
        settings = text.replace("host=db.example port=5432", where)
        self._pooler_port = self._stack.enter_context(pgbouncer(settings, users))

    # ------------------------------------------------------------------------------------------ programs and pages of others

    def _write(self, name: str, text: str) -> None:
        (self._place / name).parent.mkdir(parents=True, exist_ok=True)
        (self._place / name).write_text(text)

    def _python(self, text: str) -> None:
        self._write(text.partition("\n")[0].removeprefix("# "), text)

    def _ts(self, text: str) -> None:
        name = text.partition("\n")[0].removeprefix("// ")
        self._write(name, text)
        schema = build_schema((self._place / "schema.graphql").read_text())
        for operation in re.findall(r"graphql\(`(.*?)`\)", text, re.DOTALL):
            assert validate(schema, parse(operation)) == [], name
        if "scalars:" in text:
            ours = {one.name for one in schema.type_map.values() if isinstance(one, GraphQLScalarType)}
            ours -= {one for one in ours if is_specified_scalar_type(schema.type_map[one]) and one != "ID"}
            assert set(re.findall(r"(\w+):", text.partition("scalars:")[2].partition("}")[0])) == ours


def _quickly(text: str) -> str:
    """Return the command with uv in place of pip, if `.ci/run` has got it: it installs the same, built the same, of what it got before."""
    if not (uv := Path(sys.executable).with_name("uv")).exists():
        return text
    kept = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    text = text.replace("python3 -m venv", "python3 -m venv --without-pip")
    return text.replace(".venv/bin/pip install", f"{uv} pip install --cache-dir {kept} --python .venv")


def look_at_projection(line: str) -> None:
    """The page of the demo with edges, and what it asks for, once that is delivered."""
    link = line.removeprefix("page: ").strip()
    assert httpx.get(link, timeout=60).status_code == 200
    given = dict(parse_qsl(urlsplit(link).fragment))
    headers = {"authorization": f"Bearer {given['token']}"}
    while (answer := httpx.get(given["projection"], headers=headers, timeout=60)).status_code in {401, 403, 404, 503}:
        pass
    assert answer.json()["profile"]["person"]["name"]


def _lacks_npm(text: str) -> bool:
    return "npm install" in text and shutil.which("npm") is None


def alike(shown: Any, told: Any) -> bool:
    """Return whether a response is the one that a document shows."""
    match shown, told:
        case "…", _:
            return True
        case {"a": a, "b": b, **others}, {"a": _, "b": _, **more}:  # the ends of a link
            return alike([a, b], [told["a"], told["b"]]) and alike(others, more)
        case dict(), dict():
            return shown.keys() == told.keys() and all(alike(shown[name], told[name]) for name in shown)
        case list(), list():
            left = list(told)
            for one in shown:
                found = next((at for at, other in enumerate(left) if alike(one, other)), None)
                if found is None:
                    return False
                del left[found]
            return not left
    return bool(shown == told)


def user_errors(answer: Any) -> Iterator[Any]:
    """All user errors, wherever they stand in an answer."""
    match answer:
        case dict():
            yield from answer.get("userErrors") or ()
            for inner in answer.values():
                yield from user_errors(inner)
        case list():
            for inner in answer:
                yield from user_errors(inner)
