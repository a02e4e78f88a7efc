"""The deployment of an edge: its store, of the newest schema, and how a hub reaches it."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from gateway.domain.edges.centers import migrate_store, name_center
from gateway.domain.edges.hub_role import HUB_ROLE, allow_deliveries, create_hub_role
from gateway.postgres.cluster import DATABASE, Cluster
from gateway.postgres.directories import write_unlinked
from gateway.postgres.postmaster import Guests
from gateway.postgres.tls import Certificate, tls_listener
from gateway.server.database import connect
from gateway.server.logs import log_observation
from gateway.settings import Settings

LOOPBACK = "127.0.0.1"
PASSWORD_FILE = "hub.password"  # noqa: S105 (its name)


@dataclass(frozen=True, slots=True)
class EdgeDeployment:
    """A store at `dsn`, and the address at which a hub delivers to it; None where the operator knows it, as the store is his own.

    `password_file` holds the password that goes with the address, None where none does.
    """

    dsn: str
    hub_address: str | None
    password_file: Path | None = None


@asynccontextmanager
async def open_edge(
    settings: Settings, data_center: str, listen: tuple[str, int] | None
) -> AsyncIterator[EdgeDeployment]:
    """Open the store of an edge; create it at the first start. `listen` is where hubs of other machines reach the embedded Postgres, by
    TLS alone if the settings name a certificate.

    Raises ClusterError, DatabaseRefused, SchemaError, SettingsError for the store of another data centre, Unavailable.
    """
    if settings.edge_database_url is not None:
        dsn = settings.edge_database_url.get_secret_value()
        await _prepare(settings, dsn, data_center)
        yield EdgeDeployment(dsn, None)
        return
    certificate = _certificate(settings) if listen else None
    inside = (LOOPBACK, _free_port()) if certificate else listen
    guests = Guests(HUB_ROLE, *inside) if inside else Guests(HUB_ROLE)
    async with (
        Cluster(settings.data_dir, tell=log_observation, guests=guests) as cluster,
        tls_listener(*listen, certificate, (LOOPBACK, cluster.port)) if listen and certificate else nullcontext(),
    ):
        file = settings.data_dir / PASSWORD_FILE if listen else None
        password = await asyncio.to_thread(_kept_password, file) if file else None
        await _prepare(settings, cluster.dsn(), data_center, password, creates_role=True)
        address = cluster.dsn(role=HUB_ROLE)
        if listen:
            host, port = listen
            address = f"postgresql://{HUB_ROLE}@{f'[{host}]' if ':' in host else host}:{port}/{DATABASE}"
            address += "?sslmode=verify-full" if certificate else ""
        yield EdgeDeployment(cluster.dsn(), address, file)


def _certificate(settings: Settings) -> Certificate | None:
    if settings.edge_tls_certificate is None or settings.edge_tls_key is None:
        return None
    return Certificate(settings.edge_tls_certificate, settings.edge_tls_key)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


async def _prepare(
    settings: Settings, dsn: str, data_center: str, password: str | None = None, *, creates_role: bool = False
) -> None:
    await migrate_store(dsn)
    db = await connect(settings, dsn)
    try:
        await name_center(db, data_center)
        if creates_role:
            await create_hub_role(db, password)
        await allow_deliveries(db)
    finally:
        await db.close()


def _kept_password(file: Path) -> str:
    """Return the password that a file keeps, a new one at the first time."""
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        password = secrets.token_urlsafe(24)
        write_unlinked(file, f"{password}\n")
        return password
