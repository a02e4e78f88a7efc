"""How much memory the embedded Postgres takes."""

import pytest

from gateway.postgres.memory import memory_of_machine, memory_settings

GB = 2**30


@pytest.mark.parametrize(
    ("memory", "buffers", "cache", "work"),
    [
        (GB // 2, "128MB", "256MB", "4MB"),
        (4 * GB, "512MB", "2048MB", "8MB"),
        (24 * GB, "3072MB", "12288MB", "16MB"),
        (512 * GB, "4096MB", "262144MB", "16MB"),
    ],
)
def test_memory_grows_with_the_machine_within_bounds(memory, buffers, cache, work):
    found = memory_settings(memory)
    assert (found["shared_buffers"], found["effective_cache_size"], found["work_mem"]) == (buffers, cache, work)


def test_a_container_has_what_it_may_have(tmp_path):
    machine, limit = memory_of_machine(()), tmp_path / "memory.max"
    assert machine > 0
    for text, expected in (("max\n", machine), (f"{2**63}\n", machine), ("1048576\n", 2**20)):
        limit.write_text(text)
        assert memory_of_machine((tmp_path / "none", limit)) == expected
