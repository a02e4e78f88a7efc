"""The documents are true: each block of the README and of gateway/docs/ runs, and what they name is there."""

import ast
import re
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from places import reachable_directory
from program import Server
from prometheus_client.parser import text_string_to_metric_families
from reader import Reader

from gateway.domain.edges.hub_role import HUB_ROLE
from gateway.server.http.docs import DIRECTORY, NAMES, read_document
from gateway.server.metrics import Metrics
from gateway.settings import Settings

HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text("utf-8")
TEXTS = {"README": README, **{name: read_document(name).text for name in NAMES}}
FENCED = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)


@pytest.fixture
def reader(demo: Server) -> Iterator[Reader]:
    """Somebody who has the demo running, and an empty directory."""
    with reachable_directory() as place, ExitStack() as stack:
        yield Reader(demo, place, stack)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", TEXTS)
def test_every_block_of_a_document_does_what_is_said(name: str, reader: Reader):
    for language, text in FENCED.findall(TEXTS[name]):
        reader.take(language, text)
    reader.finish()


def test_every_part_of_the_package_has_its_line_in_the_map():
    (named,) = (text for language, text in FENCED.findall(README) if "gateway/settings.py" in text)
    paths = [line.split()[0] for line in named.splitlines()]
    assert [path for path in paths if not (HERE / path).exists()] == []
    parts = {f"gateway/{path.name}" for path in (HERE / "gateway").iterdir() if not path.name.startswith("__")}
    assert parts == {path.rstrip("/") for path in paths if path.startswith("gateway/")}


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_that_a_document_names_is_there(name: str):
    for path in re.findall(
        r"`(?:\S+ )?((?:domain|api|server)/[\w/]+\.py|(?:gateway|sql|tests)/[\w/]+\.\w+)", TEXTS[name]
    ):
        assert (HERE / path).exists() or (HERE / "gateway" / path).exists(), path
    for link in re.findall(r"\]\(([\w/.-]+)", TEXTS[name]):
        assert ((HERE if name == "README" else DIRECTORY) / link).exists(), link


@pytest.mark.parametrize("name", TEXTS)
def test_every_metric_that_a_document_names_is_counted(name: str):
    counted = {family.name for family in text_string_to_metric_families(Metrics().scrape().decode())}
    assert set(re.findall(r"\bgateway_[a-z_]+", TEXTS[name])) <= {*counted, HUB_ROLE}


def test_the_readme_is_short_and_links_to_every_document():
    assert len(README.splitlines()) <= 243
    assert re.findall(r"\(gateway/docs/([\w-]+)\.md\)", README) == list(NAMES)


def test_the_arrow_is_the_contract_that_imports_are_held_to():
    contract = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    layers = [layer.replace("gateway.", "") for layer in contract]
    arrow = re.search(r"`(cli → [^`]*)`", README)
    assert arrow is not None
    told = [set(re.findall(r"\w+", step)) for step in arrow[1].split(" → ")]
    assert told == [set(re.findall(r"\w+", layer)) & existing() for layer in layers]


def existing() -> set[str]:
    return {path.stem for path in (HERE / "gateway").iterdir()}


def test_every_room_is_listed_with_what_it_says_of_itself():
    listed = dict(re.findall(r"^\| `([\w/]+)/` \| (.*) \|$", TEXTS["internals"], re.MULTILINE))
    rooms = {f"domain/{path.parent.name}" for path in (HERE / "gateway" / "domain").glob("*/__init__.py")}
    assert rooms <= listed.keys()
    for room, sentence in listed.items():
        says = ast.get_docstring(ast.parse((HERE / "gateway" / room / "__init__.py").read_text("utf-8"))) or ""
        assert says.partition("\n")[0] == sentence, room


def test_every_setting_has_its_line():
    rows = re.findall(r"^\| `GATEWAY_(\w+)` \| (.*?) \| (.*) \|$", TEXTS["operations"], re.MULTILINE)
    assert rows == [
        (name.upper(), shown(name, field.default), field.description) for name, field in Settings.model_fields.items()
    ]


def shown(name: str, default: object) -> str:
    """A default as the table has it; that of the data directory depends on who runs it."""
    if name == "data_dir" or default in (None, ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


@pytest.mark.parametrize(
    ("language", "text"),
    [("yaml", "a: 1\n"), ("sh", "false\n"), ("text", "nothing of the sort\n"), ("graphql", "query Nope { nope }\n")],
)
def test_a_block_that_nobody_can_run_or_that_is_not_true_is_no_block(reader: Reader, language: str, text: str):
    with pytest.raises((KeyError, AssertionError)):
        reader.take(language, text)
        reader.finish()
