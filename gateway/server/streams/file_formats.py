"""Recognises files that hold no JSON lines, and says in an error how to convert them where that is known."""

from collections.abc import Sequence

import orjson

from gateway.errors import BadInput

HEAD_BYTES = 4
"""Length of the longest signature in PACKED."""

PACKED = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"PAR1": "a Parquet file",
    b"BZh": "packed by bzip2",
    b"\xfd7zX": "packed by xz",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}

LINES = "`gateway ingest` takes JSON lines, one object a line, in UTF-8, as they are or packed by gzip"

CSV_TO_LINES = "python3 -c 'import csv, json, sys; [print(json.dumps(row)) for row in csv.DictReader(sys.stdin)]' < FILE > lines.ndjson"


def check_packing(head: bytes, name: str) -> None:
    """Raise BadInput for a file that begins with a signature of PACKED; `head` are its first bytes."""
    for magic, what in PACKED.items():
        if head.startswith(magic):
            raise BadInput(f"{name} is {what}, and {LINES}: convert it first.")


def check_lines(lines: Sequence[bytes], name: str) -> None:
    """Raise BadInput for text that is a JSON array, JSON over several lines, CSV, or no JSON objects at all.

    `lines` are the first ones that are not blank. If only some of them are wrong, these fail alone later.
    """
    if lines[0].startswith(b"["):
        raise BadInput(
            f"{name} is a JSON array, and {LINES}. `jq --compact-output '.[]' FILE > lines.ndjson` makes lines of it."
        )
    if _is_cut_off(lines[0]) and not any(map(_is_object, lines[1:2])):
        raise BadInput(
            f"{name} is JSON over several lines, and {LINES}. `jq --compact-output . FILE > lines.ndjson` makes lines of it."
        )
    if b"}\r{" in lines[0]:
        raise BadInput(
            f"{name} ends its lines by carriage returns alone, and {LINES}. `tr '\\r' '\\n' < FILE > lines.ndjson` makes lines of it."
        )
    if any(line.startswith(b"{") for line in lines):
        return
    if _is_csv(lines[:2]):
        raise BadInput(
            f"{name} is a table (CSV), and {LINES}. `{CSV_TO_LINES}` makes an object of each row; its names must be those of the schema."
        )
    raise BadInput(f"{name} holds no JSON objects, and {LINES}.")


def _is_csv(lines: Sequence[bytes]) -> bool:
    """Return whether the lines, which are no JSON, have equal numbers of commas, semicolons or tabs."""
    return any(len({line.count(mark) for line in lines}) == 1 and mark in lines[0] for mark in (b",", b";", b"\t"))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _is_cut_off(line: bytes) -> bool:
    """Return whether the line is the beginning of a JSON object that goes on in the next line."""
    if not line.startswith(b"{"):
        return False
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return error.pos >= len(error.doc)
    return False
