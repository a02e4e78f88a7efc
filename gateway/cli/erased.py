"""What `gateway verify --erased` does: the list of identities is read, tables and files are scanned for them, and what is left is told."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from rich.progress import Progress

from gateway.cli.identity_files import read_identities
from gateway.cli.options import progress, run
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import list_sandboxes
from gateway.domain.operations.erasure_scan import MAX_SOUGHT, ErasureScan, GivenIdentity, scan_for_erased
from gateway.errors import BadInput
from gateway.server.deployment import open_deployment
from gateway.server.erased_files import NOT_REACHED, FoundInFiles, find_in_files
from gateway.settings import Settings


@dataclass(slots=True)
class _Found:
    """The scan of each sandbox by its name, and that of the files."""

    scans: dict[str, ErasureScan] = field(default_factory=dict)
    files: FoundInFiles = field(default_factory=FoundInFiles)

    def places(self) -> Iterator[dict[str, Any]]:
        """List where something was found: the sandbox with the table and column or the store, or the file; and how often."""
        for name, scan in self.scans.items():
            for store, count in sorted(scan.traces.items()):
                yield {"sandbox": name, "store": store, "identities": count}
            for place, count in sorted((+scan.found).items()):
                yield {"sandbox": name, "table": place.table, "column": place.column, "rows": count}
        for file, count in sorted(self.files.found.items()):
            yield {"file": file, "pieces": count}


def verify_erased(settings: Settings, file: Path, sandbox: str | None, *, as_json: bool) -> None:
    """Scan tables and files for the identities that a file lists, and print where something of them is.

    Exit code 1 where something is, and where a file could not be read. Raises BadInput.
    """
    identities = [GivenIdentity(*each) for each in read_identities(file, MAX_SOUGHT)]
    with progress() as bar:
        found = run(_scan(settings, identities, sandbox, bar))
    places = list(found.places())
    typer.echo(_json(found, places) if as_json else "\n".join(_lines(found, places)))
    if places or found.files.unread:
        raise typer.Exit(1)


async def _scan(settings: Settings, identities: list[GivenIdentity], sandbox: str | None, bar: Progress) -> _Found:
    found, configurations = _Found(), Configurations()
    async with open_deployment(settings) as deployment:
        every = await list_sandboxes(deployment.db, await deployment.scope())
        scopes = [await deployment.scope(name) for name in ([sandbox] if sandbox else [one.name for one in every])]
        configs = [await configurations.read(deployment.db, scope) for scope in scopes]
        for namespace in {one.namespace for one in identities}:
            if all(config.namespace(namespace) is None for config in configs):
                raise BadInput(configs[0].unknown_namespace(namespace))
        for scope, config in zip(scopes, configs, strict=True):
            task = bar.add_task(scope.sandbox.name, total=None)
            possible = [one for one in identities if config.namespace(one.namespace) is not None]
            found.scans[scope.sandbox.name] = await scan_for_erased(
                *(deployment.db, scope, configurations, possible),
                lambda done, total, task=task: bar.update(task, completed=done, total=total),  # type: ignore[misc]
            )
        found.files = find_in_files(settings.data_dir, [scan.values for scan in found.scans.values()])
    return found


def _lines(found: _Found, places: list[dict[str, Any]]) -> Iterator[str]:
    for name, scan in found.scans.items():
        yield f"{name}: looked for {scan.identities:,} identities in {scan.rows:,} rows"
        if scan.not_erased:
            yield f"{name}: {scan.not_erased:,} of them were not erased, or may be stored again"
        if scan.used_again:
            yield f"{name}: {scan.used_again:,} of them are in use again, so that their values were not looked for"
    for place in places:
        *where, (unit, count) = place.items()
        yield f"{': '.join(str(part) for _, part in where)}: {count:,} {unit}"
    for file in found.files.unread:
        yield f"{file}: it could not be read whole"
    yield f"read {found.files.read:,} files; not reached: {', '.join(NOT_REACHED)}"
    if places or not found.files.unread:
        yield f"found in {len(places):,} places" if places else "nothing is left of them"


def _json(found: _Found, places: list[dict[str, Any]]) -> str:
    scans = {
        name: {
            "identities": scan.identities,
            "notErased": scan.not_erased,
            "usedAgain": scan.used_again,
            "rows": scan.rows,
        }
        for name, scan in found.scans.items()
    }
    return json.dumps(
        {
            "found": places,
            "sandboxes": scans,
            "files": found.files.read,
            "unread": found.files.unread,
            "notReached": NOT_REACHED,
        }
    )
