"""The command itself: help, versions, what is wrong with its arguments and what it cannot reach."""

import re
from pathlib import Path

import asyncpg
import pytest
from program import GATEWAY, environment, gateway
from typer.testing import CliRunner

from gateway import cli
from gateway.cli.program import COMMANDS, app
from gateway.storage.migrations import expected_version


def test_help_names_every_command_and_says_what_it_does():
    text = CliRunner().invoke(app, ["--help"]).stdout
    for command in COMMANDS:
        assert re.search(rf"\b{command}  +\w", text)
        assert len(CliRunner().invoke(app, [command, "--help"]).stdout) > 500


def test_every_command_has_a_file_and_every_file_that_holds_a_command_is_one():
    files = {
        path.stem for path in Path(cli.__file__).parent.glob("*.py") if path.read_text().startswith('"""`gateway ')
    }
    assert files == set(COMMANDS)


def test_the_version_is_the_packages():
    assert re.fullmatch(r"gateway \d+\.\d+\.\d+\n", gateway("--version").stdout)


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--version"], ["strawberry", "starlette", "asyncpg", "gateway.settings", "jsonschema_rs"]),
        (["token", "--help"], ["strawberry", "starlette"]),
        (["ingest", "--help"], ["strawberry", "starlette", "jwt"]),
        (["verify", "--help"], ["strawberry", "starlette"]),
        (["--help"], ["strawberry", "starlette", "asyncpg", "uvloop", "gateway.settings"]),
    ],
)
def test_a_command_loads_only_what_it_needs(arguments, unneeded):
    loaded = "import sys; sys.argv[0] = 'gateway'; from gateway.cli import app; app(standalone_mode=False)"
    listed = f"{loaded}; print([name for name in {unneeded} if name in sys.modules])"
    result = gateway(*arguments, program=[*GATEWAY[:1], "-c", listed])
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


def test_no_garbage_is_looked_for_while_a_command_is_imported():
    noted = "import gc, traceback; seen = []; names = lambda: {one.name for one in traceback.extract_stack()}"
    watched = "gc.callbacks.append(lambda *_: seen.append(1) if '_imported' in names() else None)"
    loaded = "import sys; sys.argv[0] = 'gateway'; from gateway.cli import app; app(standalone_mode=False)"
    told = "print(gc.isenabled(), len(seen), 'gateway.cli.ingest' in sys.modules)"
    program = [*GATEWAY[:1], "-c", f"{noted}; {watched}; {loaded}; {told}"]
    result = gateway("ingest", "--help", program=program)
    assert result.stdout.splitlines()[-1] == "True 0 True", result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nonsense"], 2, "No such command"),
        (["serve", "--nonsense"], 2, "No such option"),
        (["serve", "--port", "x"], 2, "--port"),
        (["ingest"], 2, "Missing"),
        (["ingest", "none.ndjson", "--dataset", "x", "--mode", "UPSERT"], 2, "UPSERT"),
        (["ingest", "none.ndjson", "--dataset", "x"], 1, "Cannot read none.ndjson"),
        (["ingest", ".", "--dataset", "x"], 1, "Cannot read ."),
        (["serve", "--host", "no.such.host.invalid"], 1, "GATEWAY_HOST"),
        (["serve", "--port", "70000"], 1, "GATEWAY_PORT"),
        (["token", "--scopes", "profile:raed"], 1, "profile:raed"),
    ],
)
def test_a_wrong_command_is_explained_without_a_stack(arguments, code, says):
    result = gateway(*arguments, env=environment(GATEWAY_DATABASE_URL="postgresql://127.0.0.1:1/none"))
    assert result.returncode == code
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_an_error_names_the_wrong_environment_variable():
    result = gateway("serve", env=environment(GATEWAY_WORKERS="many"))
    assert (result.returncode, "GATEWAY_WORKERS" in result.stderr) == (1, True)


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["token"], ["verify"], ["migrate"]])
def test_an_unreachable_database_is_an_error_in_one_sentence(command, tmp_path):
    env = environment(GATEWAY_DATABASE_URL="postgresql://127.0.0.1:1/none", GATEWAY_DATA_DIR=str(tmp_path))
    result = gateway(*command, env=env)
    assert result.returncode == 1
    assert "Error: The database does not answer" in result.stderr


async def test_every_command_refuses_a_database_of_a_newer_schema_in_a_sentence(dsn, tmp_path):
    connection = await asyncpg.connect(dsn)
    await connection.execute("insert into gateway.migration (name) values ('9999_tomorrow')")
    await connection.close()
    env = environment(GATEWAY_DATABASE_URL=dsn, GATEWAY_DATA_DIR=str(tmp_path))
    said = (
        f"Error: The database has the schema 9999_tomorrow, and this gateway wants {expected_version()}, which is older"
    )
    file = tmp_path / "none.ndjson"
    file.write_text("{}\n")
    for command in [
        ["serve", "--port", "0"],
        ["worker"],
        ["token"],
        ["verify"],
        ["migrate"],
        ["ingest", file, "--dataset", "x"],
    ]:
        result = gateway(*command, env=env)
        assert (result.returncode, said in result.stderr, "Traceback" in result.stderr) == (1, True, False)
