"""The build hook: when it builds, whose Node it takes, and that an install never fails for it."""

import json
from pathlib import Path

import pytest
from hatchling.bridge.app import Application
from hatchling.builders.config import BuilderConfig
from hatchling.builders.wheel import WheelBuilder

import hatch_build
from hatch_build import ConsoleHook

PAGE = Path(hatch_build.__file__).parent / hatch_build.PAGE


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source tree with a page and nothing built."""
    page = tmp_path / hatch_build.PAGE
    page.mkdir(parents=True)
    (page / "main.jsx").write_text("1")
    return tmp_path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on the PATH, empty."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def program(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def hook(root: Path) -> ConsoleHook:
    builder = WheelBuilder(str(root))
    config = BuilderConfig(builder, str(root), WheelBuilder.PLUGIN_NAME, {}, {})
    return ConsoleHook(str(root), {}, config, builder.metadata, str(root), WheelBuilder.PLUGIN_NAME, Application())


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v18.20.8", False),
        ("v20.18.3", False),
        ("v20.19.0", True),
        ("v21.9.0", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.0.1", True),
        ("", False),
        ("not node", False),
    ],
)
def test_node_versions(version: str, expected: bool) -> None:
    assert hatch_build.is_new_enough(version) is expected


def test_the_machines_node_counts_only_with_npm_and_when_new(programs: Path) -> None:
    assert hatch_build.machine_node() is None
    program(programs, "node", "echo v24.1.0")
    assert hatch_build.machine_node() is None
    program(programs, "npm", "exit 0")
    assert hatch_build.machine_node() == (str(programs / "node"), (str(programs / "npm"),))
    program(programs, "node", "echo v18.0.0")
    assert hatch_build.machine_node() is None
    program(programs, "node", "exit 1")
    assert hatch_build.machine_node() is None


def test_the_packaged_node_is_asked_for_only_where_it_is_needed(source: Path, programs: Path) -> None:
    assert hook(source).dependencies() in ([], [hatch_build.NODE_REQUIREMENT])
    program(programs, "node", "echo v24.1.0")
    program(programs, "npm", "exit 0")
    assert hook(source).dependencies() == []


def test_any_change_of_the_sources_makes_the_page_stale(source: Path) -> None:
    page = source / hatch_build.PAGE
    static = source / hatch_build.STATIC
    static.mkdir()
    assert not hatch_build.is_current(source)
    (static / hatch_build.STAMP).write_text(hatch_build.fingerprint(page))
    assert hatch_build.is_current(source)
    (page / "node_modules").mkdir()
    (page / "node_modules" / "left.js").write_text("by a developer's npm")
    assert hatch_build.is_current(source)
    (page / "main.jsx").rename(page / "other.jsx")
    assert not hatch_build.is_current(source)


def test_a_failing_npm_leaves_the_old_page_and_says_why(
    source: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(programs, "node", "echo v24.1.0")
    program(programs, "npm", "echo no way to the registry >&2; exit 1")
    old = source / hatch_build.STATIC / "index.html"
    old.parent.mkdir()
    old.write_text("old")
    hook(source).initialize("standard", {})
    assert old.read_text() == "old"
    assert "no way to the registry" in "".join(capsys.readouterr())


def test_a_build_replaces_the_old_page_whole_and_is_not_repeated(source: Path, programs: Path) -> None:
    log = source / "log"
    program(programs, "npm", f"echo npm >> {log}")
    program(
        programs,
        "node",
        f'[ "$1" = --version ] && echo v24.1.0 && exit; echo vite >> {log}; /bin/mkdir "${{4#--outDir=}}"',
    )
    old = source / hatch_build.STATIC / "old.js"
    old.parent.mkdir()
    old.write_text("old")
    hook(source).initialize("standard", {})
    hook(source).initialize("editable", {})
    assert log.read_text().split() == ["npm", "vite"]
    assert [path.name for path in (source / hatch_build.STATIC).iterdir()] == [hatch_build.STAMP]


def test_the_lock_file_pins_by_hash_and_names_no_address() -> None:
    text = (PAGE / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert "://" not in text
    assert all("integrity" in package for path, package in packages.items() if path)
