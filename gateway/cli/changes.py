"""`gateway changes`."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from select import PIPE_BUF
from typing import Annotated, Any

import orjson
import typer

from gateway.api.changes import listing
from gateway.cli.options import DataDir, run, settings_of
from gateway.cli.policies import PolicyName, policy_named
from gateway.domain.config.configuration import Configurations
from gateway.domain.reading.changes import ProfileChange, iterate_changes
from gateway.domain.rules.keyset import MAX_PAGE_SIZE
from gateway.projection.evaluate import printed
from gateway.runtime.descriptors import wait_writable
from gateway.server.deployment import open_deployment
from gateway.settings import Settings


def changes(
    *,
    sandbox: Annotated[str | None, typer.Option(help="Name of the sandbox; else the default one.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what changes from now on, until ended.")] = False,
    after: Annotated[
        str | None, typer.Option(help="Cursor of the last change that was read; else from the oldest one kept.")
    ] = None,
    policy: PolicyName = None,
    data_dir: DataDir = None,
) -> None:
    """Print what happened to people, as JSON lines.

    Each change comes at least once, those of one person in order, and means that the person has to be read again. Its `cursor` is where
    `--after` goes on. With `--follow` the command ends at SIGTERM, at Ctrl-C, or when nobody reads what it prints.
    """
    settings = settings_of(data_dir=data_dir)
    with suppress(BrokenPipeError):
        try:
            run(_print(settings, sandbox, after, policy, follow=follow))
        except KeyboardInterrupt:
            if not follow:
                raise


async def _print(
    settings: Settings, sandbox: str | None, after: str | None, policy: str | None, *, follow: bool
) -> None:
    async with open_deployment(settings) as deployment:
        scope, db = await deployment.scope(sandbox), deployment.db
        seen_by = policy_named(await Configurations().read(db, scope), policy)
        listed = listing(scope.sandbox_id)
        asked = listed.window(MAX_PAGE_SIZE, after)
        async for page in iterate_changes(db, scope, seen_by, asked, follow=follow):
            await _write(sys.stdout.fileno(), (_line(change, listed.cursor(change.position)) for change in page.items))


async def _write(descriptor: int, lines: Iterable[bytes]) -> None:
    """Write lines, in pieces that a pipe takes whole, once it has room for them: an interrupt does not wait for a reader who stands still."""
    left = memoryview(b"".join(lines))
    while left:
        await wait_writable(descriptor)
        left = left[os.write(descriptor, _piece(left)) :]


def _piece(left: memoryview) -> memoryview:
    """Return what is to be written next: lines as long as a pipe takes them whole, or else a part of a line."""
    end = bytes(left[:PIPE_BUF]).rfind(b"\n") + 1
    return left[: end or PIPE_BUF]


def _line(change: ProfileChange, cursor: str) -> bytes:
    """Write a change as GraphQL shows it, on a line."""
    shown: dict[str, Any] = {
        "cursor": cursor,
        "kind": change.kind,
        "profileId": str(change.profile_id),
        "version": change.version,
        "at": printed(change.at),
        "changedPaths": change.changed_paths,
        "formerProfileIds": list(map(str, change.former_profile_ids)),
    }
    return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE)
