"""The README runs: every block of it, as it stands, and every path and setting that it names."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from places import reachable_directory
from program import Server, environment

from gateway.settings import Settings

HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8000"


FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    return [text for named, text in FENCED if named == language]


def block(word: str, language: str = "sh") -> str:
    """The one block that holds this word."""
    (found,) = (one for one in blocks(language) if word in one)
    return found


@pytest.fixture
def clone() -> Iterator[Path]:
    """What a fresh clone holds, as the work tree has it."""
    with reachable_directory() as place:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True).stdout
        for name in filter(None, listed.split("\0")):
            if (HERE / name).exists():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes((HERE / name).read_bytes())
        yield place


@pytest.fixture
def shell(demo: Server, tmp_path: Path):
    """Runs a block as a reader would beside the running demo, in a directory where .venv is this one."""
    (tmp_path / ".venv").symlink_to(sys.prefix)

    def run(text: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-euo", "pipefail", "-c", text.replace(ADDRESS, demo.url)]
        env = environment(GATEWAY_DATA_DIR=str(demo.data_dir))
        result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result

    return run


# ---------------------------------------------------------------------------------------------- blocks


def test_every_block_has_a_test_below():
    assert sorted(language for language, _ in FENCED) == sorted(
        ["", "", *["graphql"] * 5, *["json"] * 3, *["sh"] * 7, *["sql"] * 2]
    )


@pytest.mark.timeout(1800)
@pytest.mark.skipif("INSTALL_ANEW" not in os.environ, reason="takes minutes and the network; .ci/run sets INSTALL_ANEW")
def test_one_command_installs_and_runs_it_in_a_fresh_clone(clone: Path, demo: Server):
    env = environment(
        GATEWAY_DATA_DIR=str(demo.data_dir), GATEWAY_PORT="0"
    )  # the demo's data are there: loading has its own tests
    command = ["bash", "-c", block("pip install")]
    with subprocess.Popen(
        command, cwd=clone, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        ready = next(line for line in lines if line.startswith("ready "))
        link = next(lines)
        page = httpx.get(link.removeprefix("GraphiQL: ").strip(), follow_redirects=True)
        assert httpx.get(ready.split()[1].replace("/graphql", "/readyz")).status_code == 200
        os.killpg(process.pid, signal.SIGTERM)
        assert list(lines) == []
    assert page.status_code in {200, 503}  # 503 says how to build the page where there is no Node


def test_the_other_command_runs_these_tests():
    script = HERE / block(".ci/run").removeprefix("bash").strip()
    subprocess.run(["bash", "-n", script], check=True)
    steps = script.read_text()
    assert all(step in steps for step in ["ruff check", "ruff format --check", "mypy", "lint-imports", "pytest"])


def test_the_query_has_the_answer_that_stands_below_it(demo: Server):
    assert asked(demo, block("query Customer", "graphql")) == json.loads(block("explain", "json"))


def asked(demo: Server, query: str) -> Any:
    with demo.client() as client:
        return client.post("/graphql", json={"query": query}).json()


def test_every_command_explains_itself(shell):
    assert "serve" in shell(block("--help")).stdout


def test_a_program_gets_headers_and_an_answer(shell):
    if subprocess.run(["which", "curl"], capture_output=True, check=False).returncode:
        pytest.skip("there is no curl")
    answer = json.loads(shell(block("curl")).stdout)
    assert "profile:read" in answer["data"]["viewer"]["scopes"]


def test_a_file_is_taken_in_and_everything_is_right_after_it(shell):
    said = shell(block("people.ndjson")).stdout
    assert re.search(r": (1 accepted, 0|0 accepted, 1) duplicates, 0 failed", said)
    assert said.endswith("every view is what the facts make of it\n")


def test_two_people_who_became_one_are_themselves_again(shell, demo: Server):
    visits, why = block("visits.ndjson"), block("query Why", "graphql")
    shell(visits)
    assert in_any_order(asked(demo, why)) == in_any_order(json.loads(block('"links"', "json")))
    unlinked = asked(demo, block("mutation Unlink", "graphql"))["data"]["unlinkIdentities"]
    assert unlinked == {"identityGraphs": [graph("9003"), graph("9002", TABLET)], "userErrors": []}
    shell(visits.replace("tablet", "tablet-again"))
    assert members(asked(demo, why)) == ["9002", TABLET]


def test_settings_keep_everybody_else_apart(shell, demo: Server):
    assert asked(demo, block("query Try", "graphql")) == json.loads(block("simulateIdentityGraph", "json"))
    others = (("9002", "9004"), ("9003", "9005"))
    visits, why = (renamed(text, *others) for text in (block("visits.ndjson"), block("query Why", "graphql")))
    try:
        settled = asked(demo, block("mutation Settle", "graphql"))["data"]["updateIdentitySettings"]
        rules = [(each["namespace"]["code"], each["isUniquePerGraph"]) for each in settled["settings"]["namespaces"]]
        assert (rules, settled["userErrors"]) == ([("Household", True), ("ECID", False)], [])
        shell(visits)
        assert members(asked(demo, why)) == ["9004"]
    finally:
        asked(demo, "mutation { updateIdentitySettings(input: {namespaces: []}) { userErrors { message } } }")


TABLET = "90029003900290039002900390029003900290"


def renamed(text: str, *names: tuple[str, str]) -> str:
    for name, other in names:
        text = text.replace(name, other)
    return text


def graph(*values: str) -> dict[str, Any]:
    """A graph to which one link was refused by hand."""
    return {"identities": [{"value": value} for value in values], "refusedLinks": [{"refusal": "UNLINKED"}]}


def members(answer: Any) -> list[str]:
    return [each["value"] for each in answer["data"]["identityGraph"]["identities"]]


def in_any_order(value: Any) -> Any:
    """The same with every list sorted, and the ends of links."""
    match value:
        case {"a": a, "b": b, **others}:
            return {"ends": in_any_order([a, b]), **in_any_order(others)}
        case dict():
            return {name: in_any_order(inner) for name, inner in value.items()}
        case list():
            return sorted((in_any_order(inner) for inner in value), key=json.dumps)
    return value


def test_the_api_is_printed_anew(shell, tmp_path: Path):
    shell(block("schema.graphql"))
    assert (tmp_path / "schema.graphql").read_text("utf-8") == (HERE / "schema.graphql").read_text("utf-8")


# ---------------------------------------------------------------------------------------------- what it names


def test_every_path_of_the_map_is_there_and_no_part_is_left_out():
    (named,) = (one for one in blocks("") if "gateway/settings.py" in one)
    paths = [line.split()[0] for line in named.splitlines()]
    assert [path for path in paths if not (HERE / path).exists()] == []
    parts = {f"gateway/{path.name}" for path in (HERE / "gateway").iterdir() if not path.name.startswith("__")}
    assert parts == {path.rstrip("/") for path in paths if path.startswith("gateway/")}
    for name in re.findall(r"`((?:domain|api|server)/[\w/]+\.py|(?:sql|tests)/[\w/]+\.\w+)`", README):
        assert (HERE / name).exists() or (HERE / "gateway" / name).exists(), name


def test_the_arrow_is_the_contract_that_imports_are_held_to():
    contract = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    layers = [layer.replace("gateway.", "") for layer in contract]
    arrow = re.search(r"`(cli → [^`]*)`", README)
    assert arrow is not None
    told = [set(re.findall(r"\w+", step)) for step in arrow[1].split(" → ")]
    assert told == [set(re.findall(r"\w+", layer)) & existing() for layer in layers]


def existing() -> set[str]:
    return {path.stem for path in (HERE / "gateway").iterdir()}


def test_every_setting_has_its_line():
    rows = re.findall(r"^\| `GATEWAY_(\w+)` \| (.*?) \| (.*) \|$", README, re.MULTILINE)
    assert rows == [
        (name.upper(), shown(name, field.default), field.description) for name, field in Settings.model_fields.items()
    ]


def shown(name: str, default: object) -> str:
    """A default as the table has it; that of the data directory depends on who runs it."""
    if name == "data_dir" or default in (None, ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
