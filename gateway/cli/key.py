"""`gateway key`."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from gateway.api.ids import global_id, input_id
from gateway.cli.notes import results
from gateway.cli.options import DataDir, Lifetime, command_group, lifetime_of, run, settings_of
from gateway.domain.config.api_keys import ApiKey, create_api_key, list_api_keys, revoke_api_key
from gateway.domain.rules.keyset import MAX_PAGE_SIZE, Window
from gateway.server.deployment import open_deployment
from gateway.settings import Settings

key = command_group()


@key.callback()
def _key() -> None:
    """List, create and revoke API keys, which name the programs that call.

    A request needs a key and a token of the same organization. The token says what is allowed; the key may narrow in which sandboxes,
    and can be revoked for all requests of a program at once. Works while a server runs on the same data directory, and when none does.
    """


@key.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for, as in `crm import`.")],
    *,
    sandbox: Annotated[
        list[str] | None, typer.Option(help="A sandbox that the key opens; may be repeated. Else it opens all of them.")
    ] = None,
    expires_in: Lifetime = None,
    data_dir: DataDir = None,
) -> None:
    """Create an API key and print it. It cannot be shown again."""
    lifetime = lifetime_of(expires_in)
    expires_at = None if lifetime is None else datetime.now(UTC) + lifetime
    typer.echo(run(_create(settings_of(data_dir=data_dir), name, sandbox, expires_at)))


@key.command("list")
def list_(data_dir: DataDir = None) -> None:
    """List the newest thousand API keys, revoked ones included."""
    results.print(_table(run(_list(settings_of(data_dir=data_dir)))))


@key.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as `gateway key list` shows it.")],
    data_dir: DataDir = None,
) -> None:
    """Revoke an API key: requests that begin from now on are refused, by every server."""
    run(_revoke(settings_of(data_dir=data_dir), key_id))


async def _create(settings: Settings, name: str, sandboxes: list[str] | None, expires_at: datetime | None) -> str:
    async with open_deployment(settings) as deployment:
        found = [(await deployment.sandbox(each)).sandbox_id for each in sandboxes or ()]
        _, secret = await create_api_key(deployment.db, await deployment.scope(), name, found or None, expires_at)
        return secret


async def _list(settings: Settings) -> list[ApiKey]:
    async with open_deployment(settings) as deployment:
        page = await list_api_keys(deployment.db, await deployment.scope(), Window(MAX_PAGE_SIZE))
        return page.items


async def _revoke(settings: Settings, key_id: str) -> None:
    async with open_deployment(settings) as deployment:
        await revoke_api_key(deployment.db, await deployment.scope(), input_id(key_id, "ApiKey", key_id))


def _table(keys: list[ApiKey]) -> Table:
    table = Table("id", "name", "key", "sandboxes", "created", "by", "last used", "ends", box=None, pad_edge=False)
    for each in keys:
        sandboxes = "all" if each.sandboxes is None else " ".join(sandbox.name for sandbox in each.sandboxes) or "none"
        ends = f"revoked {_day(each.revoked_at)}" if each.revoked_at else _day(each.expires_at)
        made, used = _day(each.created_at), _day(each.last_used_at)
        prefix = f"{each.prefix}…" if each.prefix else "-"
        table.add_row(
            *(global_id("ApiKey", each.api_key_id), each.name, prefix, sandboxes),
            *(made, each.created_by or "-", used, ends),
        )
    return table


def _day(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}"
