"""What gateway/ and sql/ call things: the public names of modules, classes, functions, fields, statements, tables, columns and metrics.

`test_words` holds the names to the glossary, `test_prose` their docstrings to plain words.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Documented(NamedTuple):
    """A class or function of gateway/, with its dotted name inside its module."""

    path: str
    name: str
    node: Definition

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))

    @property
    def doc(self) -> str | None:
        return ast.get_docstring(self.node)


@cache
def tree_of(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"))


def modules() -> list[str]:
    """The paths of all modules of gateway/, from the root of the repository."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "gateway").rglob("*.py"))


def definitions(path: str) -> Iterator[Documented]:
    """The classes of a module, its functions and their methods; functions inside functions are nobody's business."""
    todo: list[tuple[str, ast.AST]] = [("", tree_of(path))]
    for above, parent in todo:
        for node in getattr(parent, "body", ()):
            if isinstance(node, Definition):
                yield Documented(path, f"{above}{node.name}", node)
                if isinstance(node, ast.ClassDef):
                    todo.append((f"{above}{node.name}.", node))


def fields(definition: Documented) -> list[str]:
    """The annotated attributes of a class."""
    body = definition.node.body if isinstance(definition.node, ast.ClassDef) else []
    return [one.target.id for one in body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


_METRIC = re.compile(r'"(gateway_[a-z_]+)"')
_TABLE = re.compile(r"^create (?:unlogged )?table (?:gateway|edge)\.(\w+)(.*?)^\)", re.MULTILINE | re.DOTALL)
_COLUMN = re.compile(r"^  (?!primary|foreign|unique|constraint|check|exclude)(\w+) +\w", re.MULTILINE)
_STATEMENT = re.compile(r"^-- name: (\w+)", re.MULTILINE)


def names_in(path: str) -> set[str]:
    """The public names that a file of gateway/ or sql/ gives, in snake case: its own, too."""
    text = (ROOT / path).read_text("utf-8")
    if Path(path).parent.name == "queries":
        return {Path(path).stem, *_STATEMENT.findall(text)}
    if path.startswith("sql/"):
        return set(chain.from_iterable((table, *_COLUMN.findall(body)) for table, body in _TABLE.findall(text)))
    public = [one for one in definitions(path) if one.is_public]
    given = [name for one in public for name in (one.name.rpartition(".")[2], *fields(one)) if not name.startswith("_")]
    return {*Path(path).with_suffix("").parts, *map(snake_case, given), *_METRIC.findall(text)}


def public_files() -> list[str]:
    """The paths of all files that give names."""
    statements = [
        path.relative_to(ROOT).as_posix()
        for folder in ("schema", "queries", "edge/schema", "edge/queries")
        for path in (ROOT / "sql" / folder).glob("*.sql")
    ]
    return [*modules(), *sorted(statements)]


@cache
def public_names() -> dict[str, set[str]]:
    """The names that each file gives."""
    return {path: names_in(path) for path in public_files()}
