"""The document on clusters tells why tests are skipped there."""

import ast
from pathlib import Path

import citus

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "gateway" / "docs" / "cluster.md"
HEAD = "| Why | Tests |\n|---|---|\n"


def reasons(path: Path) -> set[str]:
    """The reasons of the marks `one_postgres` in a file."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    given = [call.args[0] for call in calls if getattr(call.func, "attr", "") == "one_postgres"]
    return {getattr(citus, each.id) if isinstance(each, ast.Name) else ast.literal_eval(each) for each in given}


def test_the_document_lists_each_reason_for_which_a_test_is_skipped_on_a_cluster_and_no_other():
    rows = DOCUMENT.read_text("utf-8").partition(HEAD)[2].partition("\n\n")[0].splitlines()
    told = {row.split(" | ")[0].removeprefix("| ") for row in rows}
    assert told == set().union(citus.FIXTURES.values(), *map(reasons, HERE.rglob("test_*.py")))
