"""Files that list identities."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import orjson

from gateway.errors import BadInput


def read_identities(file: Path, most: int) -> list[tuple[str, str]]:
    """Read the namespaces and values of at most so many identities, one a line: `namespace,value`, or a JSON object with both.

    `-` is standard input. Raises BadInput for another line, and for too many.
    """
    with nullcontext(sys.stdin) if str(file) == "-" else file.open(encoding="utf-8") as lines:
        return list(_listed(file, lines, most))


def _listed(file: Path, lines: Iterator[str], most: int) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines, 1):
        if number > most:
            raise BadInput(f"{file}: at most {most:,} identities at once.")
        if line.strip():
            yield _identity(line.strip(), f"{file}, line {number}")


def _identity(line: str, where: str) -> tuple[str, str]:
    given: Any = line.partition(",")[::2]
    if line.startswith("{"):
        try:
            read = orjson.loads(line)
            given = read["namespace"], read["value"]
        except (orjson.JSONDecodeError, KeyError):
            given = ()
    if not given or not all(isinstance(part, str) and part for part in given):
        raise BadInput(f'{where}: write `namespace,value`, or {{"namespace": …, "value": …}}.')
    return given[0], given[1]
