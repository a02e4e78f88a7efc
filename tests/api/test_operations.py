"""Golden operations: what each of them answers, and by which statements, over the sandbox of `story`.

`operations/<noun>/<case>.graphql` begins with `# statements: N` and has its answer beside it as JSON, and as SQL the statements that were
put together for it. A variable takes its value from the story by its name. Ids that differ from run to run are named in answers; times and
xids do not differ.

On a cluster the answers are the same, by other statements: `operations/tasks.json` tells for each of them how many shards it asks.

After a change that is meant, `GOLDEN=write pytest tests/api/test_operations.py` writes answers, counts and SQL anew: read the difference.
"""

import os
import re
from bisect import insort
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from citus import CLUSTER_URL, asked_shards
from client import Client
from story import END, Story

from gateway.api.execution.operations import Request
from gateway.api.ids import KINDS
from gateway.domain.config.configuration import Configurations
from gateway.storage.database import Session
from gateway.storage.queries import Query, all_queries

OPERATIONS = Path(__file__).parent / "operations"
TASKS = OPERATIONS / "tasks.json"
CASES = sorted(OPERATIONS.rglob("*.graphql"))
REWRITE = os.environ.get("GOLDEN") == "write"
STORY = "gateway_story"

RANDOM = {"Batch", "Dataset", "ExperienceEvent", "IngestionWarning", "MergePolicy", "Profile", "XdmSchema"}
RANDOM_ID = re.compile(rf"({'|'.join(KINDS[kind][0] for kind in sorted(RANDOM))})_[\w-]{{20,}}")
CURSORS = {"cursor", "startCursor", "endCursor"}


@pytest.fixture(scope="session")
async def story(cluster) -> Story:
    """Told once; each case that changes something gets a copy of the database."""
    await cluster.create_database(STORY, template="gateway_template")
    story = await Story.create(cluster.dsn(STORY))
    if CLUSTER_URL:
        await cluster.settle(STORY)
    return story


@asynccontextmanager
async def copied(cluster, story, name):
    await cluster.create_database(name, template=STORY)
    dsn = cluster.dsn(name) + ("&citus.log_remote_commands=on" if CLUSTER_URL else "")
    async with story.at(END, dsn) as world:
        yield world
    await cluster.drop_database(name)


@pytest.fixture(scope="session")
async def read_world(cluster, story):
    async with copied(cluster, story, "gateway_story_read") as world:
        yield world


@pytest.fixture
async def client(cluster, story, read_world, case):
    if not re.search(r"^mutation\b", case.read_text(encoding="utf-8"), re.MULTILINE):
        yield Client.of(replace(read_world, configurations=Configurations()))
        return
    async with copied(cluster, story, "gateway_story_changed") as world:
        yield Client.of(world)


@pytest.fixture
def generated(monkeypatch) -> list[Query]:
    """The statements that run with SQL that was put together for them; not noted on a cluster."""
    found: list[Query] = []
    named = {each.name: each.sql for each in all_queries()}

    def noting(run):
        async def noted(session, statement, *args):
            if statement.sql != named[statement.name]:
                found.append(statement)
            return await run(session, statement, *args)

        return noted

    for verb in () if CLUSTER_URL else ("rows", "row", "value"):
        monkeypatch.setattr(Session, verb, noting(getattr(Session, verb)))
    return found


@pytest.fixture
def tasks(monkeypatch) -> dict[str, list[int]]:
    """How many shards each run of each statement asks, by its name; none on one Postgres."""
    counts: dict[str, list[int]] = defaultdict(list)

    def noting(run):
        async def noted(session, statement, *args, **more):
            with asked_shards(session._connection) as sent:
                result = await run(session, statement, *args, **more)
            if sent:
                insort(counts[getattr(statement, "name", f"copy {statement}")], len(sent))
            return result

        return noted

    for verb in ("rows", "row", "value", "execute", "update_rows", "copy", "copy_packed") if CLUSTER_URL else ():
        monkeypatch.setattr(Session, verb, noting(getattr(Session, verb)))
    return counts


def case_id(case: Path) -> str:
    return str(case.relative_to(OPERATIONS).with_suffix(""))


@pytest.mark.parametrize("case", CASES, ids=case_id)
async def test_an_operation_answers_as_before_by_the_same_statements(
    client, story, case, *, statements, generated, tasks
):
    text = case.read_text(encoding="utf-8")
    variables = {name: story.names[name] for name in re.findall(r"\$(\w+):", text)}
    await client.data("{ __typename }")  # the configuration is at hand, as it is for all but the first request
    scope = await client.scope()
    generated.clear()
    tasks.clear()
    with statements() as ran:
        response = await client.operations.run(scope, Request(text, variables))
    answer = Namer(story.names).named(orjson.loads(orjson.dumps(response.body)))
    sql = "\n\n".join(sorted({f"-- {query.name}\n{query.sql};" for query in generated}))
    if CLUSTER_URL:
        assert answer == orjson.loads(case.with_suffix(".json").read_bytes())
        golden_tasks = orjson.loads(TASKS.read_bytes())
        if REWRITE:
            golden_tasks[case_id(case)] = dict(tasks)
            TASKS.write_bytes(orjson.dumps(golden_tasks, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
        assert tasks == golden_tasks[case_id(case)]
        return
    if REWRITE:
        rewrite(case, text, answer, len(ran))
        write_sql(case.with_suffix(".sql"), sql)
    assert answer == orjson.loads(case.with_suffix(".json").read_bytes())
    golden = case.with_suffix(".sql")
    assert sql == (golden.read_text(encoding="utf-8").strip() if golden.exists() else "")
    assert f"# statements: {len(ran)}" == case.read_text(encoding="utf-8").splitlines()[0], ran


def test_the_number_of_statements_does_not_depend_on_how_many_are_asked_for():
    pairs = [(case, case.with_name(case.name.replace("_one", "_many"))) for case in CASES if "_one" in case.name]
    assert len(pairs) >= 3
    for one, many in pairs:
        assert one.read_text(encoding="utf-8").splitlines()[0] == many.read_text(encoding="utf-8").splitlines()[0], one


def test_no_answer_is_left_without_its_operation():
    assert {case.with_suffix(".json") for case in CASES} == set(OPERATIONS.rglob("*.json")) - {TASKS}
    assert {case_id(case) for case in CASES} >= set(orjson.loads(TASKS.read_bytes()))
    assert {case.with_suffix(".sql") for case in CASES} >= set(OPERATIONS.rglob("*.sql"))


class Namer:
    """Puts names in place of what differs from run to run: the story's names, else kind and number."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = {value: f"<{name}>" for name, value in names.items() if RANDOM_ID.fullmatch(value)}
        self._met: dict[str, dict[str, str]] = {}

    def named(self, value: Any, key: str = "") -> Any:
        match value:
            case dict():
                return {each: self.named(inner, each) for each, inner in value.items()}
            case list():
                return [self.named(inner, key) for inner in value]
            case str() if key in CURSORS:
                return self._number("cursor", value)
            case str():
                return RANDOM_ID.sub(lambda found: self._names.get(found[0]) or self._number(found[1], found[0]), value)
        return value

    def _number(self, kind: str, value: str) -> str:
        met = self._met.setdefault(kind, {})
        return met.setdefault(value, f"<{kind} {len(met) + 1}>")


def write_sql(golden: Path, sql: str) -> None:
    if sql:
        golden.write_text(f"{sql}\n", encoding="utf-8")
    else:
        golden.unlink(missing_ok=True)


def rewrite(case: Path, text: str, answer: Any, statements: int) -> None:
    body = text.split("\n", 1)[1] if text.startswith("# statements:") else text
    case.write_text(f"# statements: {statements}\n{body}", encoding="utf-8")
    case.with_suffix(".json").write_bytes(orjson.dumps(answer, option=orjson.OPT_INDENT_2) + b"\n")
