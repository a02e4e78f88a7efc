"""`gateway schema`: the SDL is printed, and compared with a file."""

from program import gateway


def test_the_schema_is_printed_and_compared(shared, tmp_path):
    printed = gateway("schema").stdout
    (tmp_path / "schema.graphql").write_text(printed)
    same = gateway("schema", "--check", cwd=tmp_path)
    assert (same.returncode, same.stdout) == (0, "")
    (tmp_path / "schema.graphql").write_text(printed.replace("type Query", "type Queries", 1))
    other = gateway("schema", "--check", cwd=tmp_path)
    assert other.returncode == 1
    assert "-type Queries" in other.stdout
    assert gateway("schema", "--check", cwd="/").returncode == 1
    sandboxes = gateway("schema", "--sandbox", "prod", "--data-dir", shared.data_dir).stdout
    assert "type ProfileEntity" in sandboxes
    assert sandboxes != printed
