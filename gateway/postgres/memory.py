"""The memory of the embedded Postgres: a part of the machine's, or of what a container may have of it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

MB: Final = 2**20
LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says what a container may have."""

LEAST_BUFFERS, MOST_BUFFERS = 128 * MB, 4096 * MB
"""Of the buffers that all backends share: those of a small machine, and beyond which truncating a table takes long."""


def memory_of_machine(limits: tuple[Path, ...] = LIMITS) -> int:
    """Return the bytes of memory that the machine has, or fewer where a file says that this process may not have all of them."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in limits:
        told = limit.read_text().strip() if limit.is_file() else ""
        if told.isdecimal():  # else it is `max`
            found.append(int(told))
    return min(found)


def memory_settings(memory: int) -> Mapping[str, str]:
    """Return the server's settings for a machine with so many bytes of memory."""
    buffers = min(max(memory // 8, LEAST_BUFFERS), MOST_BUFFERS)
    return {
        "shared_buffers": f"{buffers // MB}MB",
        "effective_cache_size": f"{max(memory // 2, buffers) // MB}MB",
        "work_mem": f"{min(max(memory // 512, 4 * MB), 16 * MB) // MB}MB",
        "maintenance_work_mem": f"{min(max(memory // 16, 64 * MB), 256 * MB) // MB}MB",
    }
