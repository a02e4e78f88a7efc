"""Files of the data directory are read whole for values of erased people, or said not to be."""

import gzip

from gateway.domain.rules.traces import SoughtValues
from gateway.server import erased_files
from gateway.server.erased_files import find_in_files

VALUE = "josu\u00e9.m\u00fcller@example.com"
SOUGHT = [SoughtValues([VALUE])]


def test_a_value_is_found_wherever_a_piece_ends_in_it(tmp_path, monkeypatch):
    (tmp_path / "log").write_text(f"about {VALUE} ", encoding="utf-8")
    for size in range(1, 40):
        monkeypatch.setattr(erased_files, "PIECE_BYTES", size)
        assert find_in_files(tmp_path, SOUGHT).found.keys() == {"log"}, size


def test_a_broken_file_is_named_and_holds_up_no_other(tmp_path):
    packed = gzip.compress(f"about {VALUE}".encode() + bytes(range(256)) * 100)
    logs = tmp_path / "logs"
    for place, content in (
        ("whole.gz", packed),
        ("cut.gz", packed[:-20]),
        ("plain.gz", b"plain"),
        ("bytes", b"\xff" * 9),
    ):
        logs.mkdir(exist_ok=True)
        (logs / place).write_bytes(content)
    (logs / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "16384").write_text(VALUE, encoding="utf-8")
    told = find_in_files(tmp_path, SOUGHT)
    assert (told.read, sorted(told.unread), told.found.keys()) == (
        2,
        ["logs/cut.gz", "logs/plain.gz"],
        {"logs/whole.gz"},
    )


def test_a_file_that_vanishes_holds_nothing(tmp_path, monkeypatch):
    (tmp_path / "log").write_text(VALUE, encoding="utf-8")
    monkeypatch.setattr(erased_files, "_files", lambda *_: [tmp_path / "log", tmp_path / "rotated"])
    told = find_in_files(tmp_path, SOUGHT)
    assert (told.read, told.unread, dict(told.found)) == (1, [], {"log": 1})
