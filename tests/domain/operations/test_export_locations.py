"""Where exports may be written: nothing that a caller names leads out of there."""

from types import SimpleNamespace
from uuid import uuid4

import pytest

from gateway.domain.operations.export_locations import Locations
from gateway.errors import Invalid, Unavailable

SCOPE = SimpleNamespace(organization=SimpleNamespace(organization_id=uuid4()), sandbox_id=7)
HOSTILE = [
    "", "/", "/etc", "..", "a/../b", "a/..", "./a", ".", "a//b", "a/", "~", "~root/x", "a\\b", "a\0b", "a\nb", "C:\\x", "%2e%2e/x", "a/" * 11 + "a",
    "x" * 101, "a b", "$HOME", "file:///etc/passwd", "file:/etc", "FILE:///srv/exports/x", "http://169.254.169.254/latest", "http://127.0.0.1/x",
    "s3://bucket", "s3://bucket/profiles-other/x", "s3://bucket/profiles/../x", "s3://bucket/profiles/%2e%2e/x", "s3://bucket/profiles/x?y=1",
    "s3://bucket/profiles/x#y", "s3://bucket@evil/profiles/x", "s3://evil/bucket/profiles/x", "s3://bucket/profiles::http://127.0.0.1/x",
    "simplecache::s3://bucket/profiles/x", "s3://bucket/profiles//x", "s3://bucket/profiles/.hidden", "memory://", "s3://",
]  # fmt: skip


@pytest.mark.parametrize("location", HOSTILE)
def test_a_location_leads_nowhere_else(location, tmp_path):
    locations = Locations(tmp_path, ("s3://bucket/profiles", "file:///srv/exports/"))
    with pytest.raises(Invalid):
        locations.check(location)
    with pytest.raises(Invalid):
        locations.folder_of(SCOPE, uuid4(), location)


@pytest.mark.parametrize(
    "location",
    [None, "daily", "a/b-c/2026-11-30", "s3://bucket/profiles", "s3://bucket/profiles/x", "file:///srv/exports/x"],
)
def test_a_location_below_what_is_allowed_is_one(location, tmp_path):
    job_id = uuid4()
    folder = Locations(tmp_path, ("s3://bucket/profiles", "file:///srv/exports/")).folder_of(SCOPE, job_id, location)
    assert folder.endswith(f"/{job_id}")
    assert (location or "") in folder


def test_what_is_no_longer_allowed_is_not_touched(tmp_path):
    with pytest.raises(Invalid):
        Locations(tmp_path).at("s3://bucket/profiles/x")


def write(folder, name):
    with folder.begin(name) as file:
        file.write(b"here")
    folder.finish(name)


@pytest.mark.parametrize("prefix", ["", "file://{}/shared", "memory://{}/shared"])
def test_a_file_is_begun_finished_read_and_removed(prefix, tmp_path):
    allowed = prefix.format(tmp_path)
    locations = Locations(tmp_path / "exports", (allowed,) if allowed else ())
    folder = locations.at(locations.folder_of(SCOPE, uuid4(), f"{allowed}/x" if allowed else "x"))
    begun = folder.begin("one")
    begun.write(b"half")
    begun.close()
    with pytest.raises(FileNotFoundError):
        folder.open("one")
    for _ in range(2):
        write(folder, "one")
    with folder.open("one") as file:
        assert file.read() == b"here"
    for _ in range(2):
        folder.remove(["one"])
    with pytest.raises(FileNotFoundError):
        folder.open("one")


def test_no_link_leads_out(tmp_path):
    locations, outside, job_id = Locations(tmp_path / "exports"), tmp_path / "outside", uuid4()
    outside.mkdir()
    kept = locations.folder_of(SCOPE, job_id, None)
    folder, path = locations.at(kept), tmp_path / "exports" / kept
    path.parent.mkdir(parents=True)
    path.symlink_to(outside)
    for refused in (lambda: write(folder, "one"), lambda: folder.open("one"), lambda: folder.remove(["one"])):
        with pytest.raises(Unavailable):
            refused()
    path.unlink()
    path.mkdir()
    (outside / "secret").write_text("theirs")
    (path / "one").symlink_to(outside / "secret")
    (path / ".one.part").symlink_to(outside / "secret")
    for refused in (lambda: folder.open("one"), lambda: write(folder, "one")):
        with pytest.raises(Unavailable):
            refused()
    folder.remove(["one"])
    write(folder, "one")
    assert (outside / "secret").read_text() == "theirs"
    assert (path / "one").stat().st_mode & 0o077 == 0
