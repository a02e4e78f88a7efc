"""The pool of connections that the settings describe."""

from gateway.settings import Settings
from gateway.storage.database import Database


async def connect(settings: Settings, dsn: str) -> Database:
    """Open the pool of connections that the settings describe. Raises DatabaseRefused, Unavailable, Timeout."""
    return await Database.connect(
        dsn,
        size=settings.database_connections,
        statement_seconds=settings.request_seconds,
        cache_size=settings.statement_cache,
        listen_dsn=settings.listen_url.get_secret_value() if settings.listen_url else None,
    )
