"""`gateway migrate`: it says what it did."""

from program import gateway

from gateway.storage.migrations import expected_version


def test_migrate_lists_the_migrations_and_whether_each_is_new(place):
    first, again = (gateway("migrate", "--data-dir", place / "data") for _ in range(2))
    assert first.stdout.splitlines()[0] == "new        0001_baseline: The schema of the first release."
    assert again.stdout.splitlines()[0] == "was there  0001_baseline: The schema of the first release."
    assert first.stdout.splitlines()[-1] == f"the schema is {expected_version()}"
    assert again.stdout.splitlines()[-1] == f"the schema is {expected_version()}, the newest: nothing to do"
