"""Files that list identities are read, or refused in one sentence."""

import io
import sys
from pathlib import Path

import pytest

from gateway.cli.identity_files import read_identities
from gateway.errors import BadInput


def test_lines_are_read_with_or_without_a_byte_order_mark(tmp_path, monkeypatch):
    file = tmp_path / "listed"
    for text in (
        "Email,jos\u00e9@example.com\n",
        '{"namespace": "Email", "value": "jos\\u00e9@example.com"}',
        "\ufeffEmail,jos\u00e9@example.com\r\n",
    ):
        file.write_text(text, encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        for given in (file, Path("-")):
            assert read_identities(given, 1) == [("Email", "jos\u00e9@example.com")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Email,jos\xe9@example.com", "UTF-8"),
        (b"\n", "lists no identity"),
        (b"Email", "line 1"),
        (b'{"namespace": "Email"}', "line 1"),
        (b'{"namespace": "Email", "value": 1}', "line 1"),
        (b"Email,a\nEmail,b\n", "at most 1"),
        (None, "cannot be read"),
    ],
)
def test_another_file_is_refused(tmp_path, content, said):
    file = tmp_path / "listed"
    file.mkdir() if content is None else file.write_bytes(content)
    with pytest.raises(BadInput, match=said):
        read_identities(file, 1)
    with pytest.raises(BadInput, match="cannot be read"):
        read_identities(tmp_path / "nowhere", 1)
