"""Files that list identities."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import orjson

from gateway.errors import BadInput

BYTE_ORDER_MARK: Final = "\ufeff"


def read_identities(file: Path, most: int) -> list[tuple[str, str]]:
    """Read the namespaces and values of at most so many identities, one a line: `namespace,value`, or a JSON object with both.

    `-` is standard input. Raises BadInput for another line, for none, for too many, and for a file that cannot be read or is not UTF-8.
    """
    try:
        with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as lines:
            identities = list(_listed(file, lines, most))
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: it is not UTF-8.") from error
    except OSError as error:
        raise BadInput(f"{file}: it cannot be read: {error.strerror}.") from error
    if not identities:
        raise BadInput(f"{file}: it lists no identity.")
    return identities


def _listed(file: Path, lines: Iterable[bytes], most: int) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines, 1):
        if number > most:
            raise BadInput(f"{file}: at most {most:,} identities at once.")
        if text := line.decode().strip().removeprefix(BYTE_ORDER_MARK):
            yield _identity(text, f"{file}, line {number}")


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
