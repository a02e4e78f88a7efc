"""What a file is that holds no JSON lines, in one sentence that says how to make lines of it."""

from collections.abc import Sequence

import orjson

from gateway.errors import BadInput

HEAD_BYTES = 4
"""How many bytes of a file tell how it is packed."""

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
    """Raise BadInput for a file that begins like another kind of file; `head` are its first bytes."""
    for magic, what in PACKED.items():
        if head.startswith(magic):
            raise BadInput(f"{name} is {what}, and {LINES}: convert it first.")


def check_lines(lines: Sequence[bytes], name: str) -> None:
    """Raise BadInput for text that is a JSON array, JSON over several lines, or CSV; `lines` are the first ones that are not blank."""
    if lines[0].startswith(b"["):
        raise BadInput(
            f"{name} is a JSON array, and {LINES}. `jq --compact-output '.[]' FILE > lines.ndjson` makes lines of it."
        )
    if lines[0].endswith((b"{", b"[", b",")) and lines[0].startswith(b"{") and not _is_json(lines[0]):
        raise BadInput(
            f"{name} is JSON over several lines, and {LINES}. `jq --compact-output . FILE > lines.ndjson` makes lines of it."
        )
    if _is_csv(lines[:2]):
        raise BadInput(
            f"{name} is a table (CSV), and {LINES}. `{CSV_TO_LINES}` makes an object of each row; its names must be those of the schema."
        )


def _is_csv(lines: Sequence[bytes]) -> bool:
    """Whether the lines are no JSON, and have the same number of commas, semicolons or tabs."""
    if any(line.startswith(b"{") for line in lines):
        return False
    return any(len({line.count(mark) for line in lines}) == 1 and mark in lines[0] for mark in (b",", b";", b"\t"))


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
