"""Files that may hold something of people who were erased: what lies in the data directory beside the files of Postgres."""

import gzip
import os
import zlib
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.domain.rules.traces import SoughtValues

POSTGRES: Final = "postgres"
"""The directory of the embedded Postgres, whose tables are scanned as tables."""

PIECE_BYTES: Final = 1_000_000

BROKEN: Final = (OSError, EOFError, zlib.error)
"""What is raised where a file cannot be read or unpacked to its end."""

NOT_REACHED: Final = (
    "backups",
    "the write-ahead log",
    "rows that were deleted and that Postgres has not vacuumed",
    "what was sent or exported elsewhere",
    "logs that are kept elsewhere",
)
"""What no scan of this machine's files and tables reaches."""


@dataclass(slots=True)
class FoundInFiles:
    """How many files were `read`, in how many pieces of each some values stand, and which files and directories could not be read whole."""

    read: int = 0
    found: Counter[str] = field(default_factory=Counter)
    unread: list[str] = field(default_factory=list)


def find_in_files(data_dir: Path, sought: Sequence[SoughtValues]) -> FoundInFiles:
    """Look for values in every file of the data directory, but for those that vanish meanwhile."""
    told = FoundInFiles()
    reach = max((values.reach for values in sought), default=0)
    for path in _files(data_dir, told):
        inside = str(path.relative_to(data_dir))
        try:
            for text in _pieces(path, reach):
                told.found[inside] += any(values.are_in(text) for values in sought)
        except FileNotFoundError:
            continue
        except BROKEN:
            told.unread.append(inside)
        else:
            told.read += 1
    told.found = +told.found
    return told


def _files(data_dir: Path, told: FoundInFiles) -> Iterator[Path]:
    """List the files to be read, in their order."""

    def note(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            told.unread.append(str(Path(error.filename).relative_to(data_dir)))

    for directory, inside, names in os.walk(data_dir, onerror=note):
        inside[:] = sorted(name for name in inside if Path(directory, name) != data_dir / POSTGRES)
        yield from (path for name in sorted(names) if (path := Path(directory, name)).is_file())


def _pieces(path: Path, overlap: int) -> Iterator[str]:
    """Read a file, unpacked if it is packed by gzip, in pieces that overlap by so many characters. Raises BROKEN."""
    end, decoder = "", getincrementaldecoder("utf-8")(errors="replace")
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            text = end + decoder.decode(piece)
            yield text
            end = text[-overlap:] if overlap else ""
