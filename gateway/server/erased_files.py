"""Files that may hold something of people who were erased: what lies in the data directory beside the files of Postgres."""

import gzip
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gateway.domain.rules.traces import SoughtValues

POSTGRES: Final = "postgres"
"""The directory of the embedded Postgres, whose tables are scanned as tables."""

PIECE_BYTES: Final = 1_000_000

NOT_REACHED: Final = (
    "backups",
    "the write-ahead log",
    "rows that were deleted and that Postgres has not vacuumed",
    "what was sent or exported elsewhere",
    "logs that are kept elsewhere",
)
"""What no scan of this machine's files and tables reaches."""


def find_in_files(data_dir: Path, sought: Sequence[SoughtValues]) -> tuple[int, Counter[str]]:
    """Look for values in every file of the data directory. Return how many files were read, and in how many pieces of each file some stand."""
    files, found = 0, Counter[str]()
    longest = max((values.longest for values in sought), default=0)
    for path in sorted(data_dir.rglob("*")):
        inside = path.relative_to(data_dir)
        if inside.parts[0] == POSTGRES or not path.is_file():
            continue
        files += 1
        for text in _pieces(path, longest):
            found[str(inside)] += any(values.are_in(text) for values in sought)
    return files, +found


def _pieces(path: Path, overlap: int) -> Iterator[str]:
    """Read a file, unpacked if it is packed by gzip, in pieces that overlap by so many characters."""
    end = ""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            text = end + piece.decode(errors="replace")
            yield text
            end = text[-overlap:] if overlap else ""
