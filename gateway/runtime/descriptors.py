"""Waiting for file descriptors on the event loop, so that an interrupt does not wait for who is at the other end."""

import asyncio
from collections.abc import Callable
from typing import Any


async def wait_readable(descriptor: int) -> None:
    """Return when a descriptor can be read from without blocking."""
    loop = asyncio.get_running_loop()
    await _wait(descriptor, loop.add_reader, loop.remove_reader)


async def wait_writable(descriptor: int) -> None:
    """Return when a descriptor can be written to without blocking: to a pipe, `select.PIPE_BUF` bytes."""
    loop = asyncio.get_running_loop()
    await _wait(descriptor, loop.add_writer, loop.remove_writer)


async def _wait(descriptor: int, add: Callable[[int, Callable[[], None]], Any], remove: Callable[[int], Any]) -> None:
    is_ready = asyncio.Event()
    try:
        add(descriptor, is_ready.set)
    except PermissionError:  # a file, /dev/null and the like, which are always ready
        return
    try:
        await is_ready.wait()
    finally:
        remove(descriptor)
