"""`gateway ingest`: files and pipes, what fails, and what is sent again."""

import gzip
import os
import re
import subprocess

import pytest
from people_dataset import ingest, people, records, run
from program import GATEWAY, gateway, started_program


def test_a_file_is_one_batch_and_a_second_run_sends_nothing(shared, tmp_path):
    file = tmp_path / "people.ndjson"
    file.write_bytes(records(0, 2500))
    first, again = ingest(shared, file), ingest(shared, file)
    assert (first.returncode, again.returncode) == (0, 0)
    assert ": 2,500 accepted, 0 duplicates, 0 failed\n" in first.stdout
    assert "nothing was sent" in again.stdout
    assert first.stdout.split(":")[0] == again.stdout.split(":")[0]


UNUSED = [
    "gateway.pql.ast",
    "gateway.projection.tree",
    "structlog",
    "rich",
    "cryptography",
    "strawberry",
    "starlette",
    "jwt",
]


def test_what_a_file_does_not_need_is_not_imported(shared, tmp_path):
    """A published attribute needs the language, and a line of the log needs structlog: each is imported then, and not before."""
    file = tmp_path / "quick.ndjson"
    file.write_bytes(records(4000, 4003))
    listed = f"print([name for name in {UNUSED} if name in sys.modules])"
    run_then_list = (
        f"import sys; sys.argv[0] = 'gateway'; from gateway.cli import app; app(standalone_mode=False); {listed}"
    )
    result = ingest(shared, file, program=[*GATEWAY[:1], "-c", run_then_list])
    assert ": 3 accepted" in result.stdout, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"


def test_failures_are_listed_and_end_the_command_with_exit_code_1(shared, tmp_path):
    file = tmp_path / "mixed.ndjson.gz"
    file.write_bytes(gzip.compress(records(5000, 5003) + b"nonsense\n" + b'{"a": 1, "b": 2, "c": 3}\n' + b"{}\n" * 29))
    result = ingest(shared, file)
    assert result.returncode == 1
    head, first, second, *_, more = result.stdout.splitlines()
    assert head.endswith(": 3 accepted, 0 duplicates, 31 failed")
    assert first.startswith("  line 4, $: This is no JSON")
    assert second.startswith("  line 5, $.a: ")
    assert second.endswith(" Also wrong: $.b (UNKNOWN_FIELD), $.c (UNKNOWN_FIELD).")
    assert more == "  and 11 more, kept with the batch"


def test_failures_are_named_by_the_lines_that_an_editor_shows(shared, tmp_path):
    file = tmp_path / "blank-lines.ndjson"
    file.write_bytes(b"\n\n" + records(5100, 5101) + b"\r\n" + b"nonsense\n\n" + records(5101, 5102) + b"more nonsense")
    result = ingest(shared, file)
    assert [line.split(",")[0] for line in result.stdout.splitlines()[1:]] == ["  line 5", "  line 8"]


def test_retry_failed_sends_the_failed_documents_alone(shared, tmp_path):
    file = tmp_path / "loyal.ndjson"
    stranger = b'{"identityMap": {"Card": [{"id": "%d", "primary": true}]}}\n'
    file.write_bytes(records(5200, 5202) + stranger % 1 + records(5202, 5204) + stranger % 2)
    first, again = ingest(shared, file), ingest(shared, file)
    assert (first.returncode, again.returncode) == (1, 1)
    assert ": 4 accepted, 0 duplicates, 2 failed\n" in first.stdout
    assert "nothing was sent; `--retry-failed` sends those again that failed" in again.stdout
    assert "`--retry-failed`" in ingest(shared, tmp_path / "loyal.ndjson", "--mode", "MERGE", "--retry-failed").stderr
    in_vain = ingest(shared, file, "--retry-failed")
    assert (in_vain.returncode, ": 0 accepted, 0 duplicates, 2 failed\n  line 3," in in_vain.stdout) == (1, True)
    with shared.client() as client:
        run(
            client,
            'mutation { createIdentityNamespace(input: {code: "Card", name: "Card", idType: CROSS_DEVICE}) { userErrors { message } } }',
        )
    mended = ingest(shared, file, "--retry-failed")
    assert (mended.returncode, ": 2 accepted, 0 duplicates, 0 failed\n" in mended.stdout) == (0, True)
    done = ingest(shared, file, "--retry-failed")
    assert (done.returncode, "Nothing is left" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'[{"_id": 1}, {"_id": 2}]', "is a JSON array"),
        (b"\xef\xbb\xbf[\n  {}\n]\n", "is a JSON array"),
        (b'{\n  "_id": "1"\n}\n', "is JSON over several lines"),
        (b'{"_id": "1", "more": {\n  "_id": "1"\n}}\n', "is JSON over several lines"),
        (b'{ "more":\n { "_id": "1" } }\n', "is JSON over several lines"),
        (b'{ "a": 1 }\r{ "a": 2 }\r', "ends its lines by carriage returns alone"),
        (b"email\nada@example.com\n", "holds no JSON objects"),
        (b'<?xml version="1.0"?>\n<a/>\n', "holds no JSON objects"),
        (bytes(range(1, 256)), "holds no JSON objects"),
        (b"email,first name\nada@example.com,Ada\n", "is a table (CSV)"),
        (b"email\tfirst name\nada@example.com\tAda\n", "is a table (CSV)"),
        (gzip.compress(b"email;first name\n", mtime=0), "is a table (CSV)"),
        (b"PK\x03\x04 and so on", "is a ZIP archive or a spreadsheet"),
        (b"PAR1 and so on", "is a Parquet file"),
        ('{"_id": "1"}'.encode("utf-16"), "is text in UTF-16"),
    ],
)
def test_a_file_that_holds_no_json_lines_is_named_in_one_sentence_and_nothing_is_sent(shared, tmp_path, content, says):
    file = tmp_path / "people.file"
    file.write_bytes(content)
    result = ingest(shared, file)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.search(f"people.file {re.escape(says)}.*, and `gateway ingest` takes JSON lines", result.stderr)
    assert "Traceback" not in result.stderr


def test_a_broken_first_line_before_good_ones_fails_alone(shared, tmp_path):
    file = tmp_path / "people.ndjson"
    file.write_bytes(b'{"personalEmail": {\n' + records(8000, 8001))
    result = ingest(shared, file)
    assert (result.returncode, ": 1 accepted, 0 duplicates, 1 failed\n" in result.stdout) == (1, True), result.stderr


def test_retrying_failures_of_a_pipe_names_the_option_that_it_needs(shared):
    result = ingest(shared, "-", "--retry-failed", input=records(8001, 8002).decode())
    assert (result.returncode, "`--batch-key`" in result.stderr) == (1, True)


@pytest.mark.parametrize("content", [b"", b"\n\n \n", gzip.compress(b"", mtime=0)])
def test_a_file_or_pipe_without_documents_sends_nothing(shared, tmp_path, content):
    (tmp_path / "empty.ndjson").write_bytes(content)
    for result in (
        ingest(shared, tmp_path / "empty.ndjson"),
        ingest(shared, "-", input=content.decode("latin-1"), encoding="latin-1"),
    ):
        assert (result.returncode, result.stdout) == (0, "nothing to do: there are no documents\n"), result.stderr
    nowhere = ingest(shared, "-", stdin=subprocess.DEVNULL)
    assert (nowhere.returncode, nowhere.stdout) == (0, "nothing to do: there are no documents\n"), nowhere.stderr


def test_of_a_truncated_file_the_documents_before_its_end_are_ingested_and_counted(shared, tmp_path):
    file, whole = tmp_path / "packed.ndjson.gz", gzip.compress(records(8300, 10300), compresslevel=0)
    file.write_bytes(whole[: len(whole) // 2])
    result = ingest(shared, file)
    assert result.returncode == 1
    assert re.search(r": [1-9][\d,]* accepted, 0 duplicates, 0 failed\n", result.stdout)
    assert "ends before its end" in result.stderr


def test_a_pipe_goes_to_the_batch_of_its_key(shared):
    read, write = os.pipe()
    os.write(write, gzip.compress(records(6000, 6003)))
    os.close(write)
    piped = ingest(shared, "-", stdin=read)
    os.close(read)
    assert ": 3 accepted," in piped.stdout
    keyed = ingest(shared, "-", "--batch-key", "from a pipe", input=records(6003, 6004).decode())
    assert ": 1 accepted," in keyed.stdout
    again = ingest(shared, "-", "--batch-key", "from a pipe", input=records(6003, 6004).decode())
    assert again.stdout.split(":")[0] == keyed.stdout.split(":")[0] != piped.stdout.split(":")[0]


def test_a_line_that_nests_too_deeply_fails_alone_in_a_file_too(shared, tmp_path):
    file = tmp_path / "deep.ndjson"
    file.write_bytes(records(7000, 7001) + b"[" * 300 + b"]" * 300 + b"\n" + records(7001, 7002))
    result = ingest(shared, file)
    assert "Traceback" not in result.stderr + result.stdout
    assert "32 levels" in result.stderr + result.stdout
    with shared.client() as client:
        assert people(client)["recordCount"] >= 2


def test_an_unknown_dataset_or_sandbox_and_broken_gzip_are_errors_that_say_so(shared, tmp_path):
    file = tmp_path / "people.ndjson"
    file.write_bytes(records(0, 1))
    unknown = gateway("ingest", file, "--dataset", "nope", "--data-dir", shared.data_dir)
    assert (unknown.returncode, "'nope'" in unknown.stderr) == (1, True)
    elsewhere = ingest(shared, file, "--sandbox", "nope")
    assert (elsewhere.returncode, "'nope'" in elsewhere.stderr) == (1, True)
    file.write_bytes(gzip.compress(records(0, 1))[:-4])
    assert "gzip" in ingest(shared, file).stderr


def test_an_interrupt_ends_a_command_that_waits_for_a_pipe(shared):
    with shared.client() as client:
        before = people(client)["recordCount"]
        command = ("ingest", "-", "--dataset", "People", "--data-dir", str(shared.data_dir))
        with started_program(*command, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(records(7000, 8000).decode())
            process.stdin.flush()
            while people(client)["recordCount"] == before:
                pass
            process.terminate()
            assert process.wait() == 130
