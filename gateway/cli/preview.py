"""`gateway preview`."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final

import typer
from rich.bar import Bar
from rich.table import Table

from gateway.cli.notes import results
from gateway.cli.options import DataDir, SandboxName, run, settings_of
from gateway.cli.policies import PolicyName, policy_named
from gateway.domain.config.configuration import Configurations
from gateway.domain.reading.previews import (
    RETENTION_DAYS,
    NamespaceShare,
    Overlap,
    ProfilePreview,
    preview_profiles,
    read_report,
)
from gateway.errors import NotFound
from gateway.projection.evaluate import printed
from gateway.server.deployment import open_deployment
from gateway.settings import Settings

COUNTING_SECONDS: Final = 3_600.0
"""How long a statement that counts may take: nobody waits for a request."""
BAR_WIDTH: Final = 24
SHOWN_SETS: Final = 20
"""Sets that are shown of either kind; the others are shown together."""


def preview(
    *,
    policy: PolicyName = None,
    on: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="A day (UTC) whose report is shown; else people are counted now."),
    ] = None,
    sandbox: SandboxName = None,
    data_dir: DataDir = None,
) -> None:
    """Show in tables and bars how many profiles there are, and of what they are made.

    What each dataset and namespace takes part, which of them profiles have together, which profiles are unknown, and what would remain if
    events were kept for some days. Works while a server runs on the same data directory, and when none does.
    """
    found = run(_preview(settings_of(data_dir=data_dir), sandbox, policy, on))
    names = {str(dataset.dataset_id): dataset.name for dataset in found.config.datasets.values()}
    for table in (
        _totals(found),
        _datasets(found),
        _namespaces(found.by_namespace),
        _sets("datasets", found, found.dataset_overlap, names),
        _sets("namespaces", found, found.namespace_overlap, {}),
        _unknown(found),
        _retention(found),
    ):
        results.print(table)
        results.print()


async def _preview(settings: Settings, sandbox: str | None, name: str | None, on: datetime | None) -> ProfilePreview:
    async with open_deployment(settings) as deployment:
        db, scope, configurations = deployment.db, await deployment.scope(sandbox), Configurations()
        config = await configurations.read(db, scope)
        policy_id = policy_named(config, name).policy_id
        if on is None:
            return await preview_profiles(db, scope, configurations, policy_id, seconds=COUNTING_SECONDS)
        found = await read_report(db, scope, config, policy_id, on.date())
        if found is None:
            raise NotFound(f"No report of {on.date()} is kept for this merge policy.")
        return found


# ------------------------------------------------------------------------------------------------ what is shown


def _table(*columns: str) -> Table:
    """Return a table whose first column is a name, and whose others are numbers."""
    table = Table(columns[0], box=None, pad_edge=False)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _share(percentage: float) -> tuple[str, Bar]:
    return f"{percentage:.1%}", Bar(1, 0, percentage, width=BAR_WIDTH)


def _totals(found: ProfilePreview) -> Table:
    table = Table("what", "value", box=None, pad_edge=False, show_header=False)
    updated = found.last_updated_at
    for row in (
        ("merge policy", found.policy.settings.name),
        ("as of", f"{printed(found.taken_at)}{'' if found.is_exact else ', as counting takes too long now'}"),
        ("profiles", f"{found.total_profiles:,}"),
        ("fragments", f"{found.total_fragments:,}"),
        ("events", f"{found.total_events:,}"),
        ("last documents", printed(updated) if updated else "-"),
    ):
        table.add_row(*row)
    return table


def _datasets(found: ProfilePreview) -> Table:
    table = _table("dataset", "profiles", "records or events", "of all", "")
    for each in found.by_dataset:
        table.add_row(each.dataset.name, f"{each.profiles:,}", f"{each.records:,}", *_share(each.percentage))
    return table


def _namespaces(shares: Iterable[NamespaceShare]) -> Table:
    table = _table("namespace", "profiles", "fragments", "of all", "")
    for each in shares:
        table.add_row(each.namespace.code, f"{each.profiles:,}", f"{each.fragments:,}", *_share(each.percentage))
    return table


def _sets(head: str, found: ProfilePreview, overlaps: list[Overlap], names: dict[str, str]) -> Table:
    table = _table(f"exactly these {head}", "profiles", "of all", "")
    shown = [each for each in overlaps if each.keys][:SHOWN_SETS]
    for each in shown:
        told = " + ".join(sorted(names.get(key, key) for key in each.keys))
        table.add_row(told, f"{each.profiles:,}", *_share(each.profiles / found.total_profiles))
    if left := found.total_profiles - sum(each.profiles for each in shown):
        table.add_row("others", f"{left:,}", *_share(left / found.total_profiles))
    return table


def _unknown(found: ProfilePreview) -> Table:
    table = _table("unknown for", "profiles", "their events", "of all", "")
    for each in found.unknown_profiles:
        share = each.profiles / found.total_profiles if each.profiles else 0.0
        table.add_row(f"{each.days} days", f"{each.profiles:,}", f"{each.events:,}", *_share(share))
    return table


def _retention(found: ProfilePreview) -> Table:
    table = _table("events or records left after", *(f"{days} days" for days in RETENTION_DAYS))
    rows: dict[str, list[str]] = {}
    for each in found.retention:
        rows.setdefault(each.dataset.name, []).append(f"{each.events + each.records:,}")
    for name, counts in rows.items():
        table.add_row(name, *counts)
    return table
