"""Jobs, done by a test as a worker does them, but one after the other."""

from gateway.domain.config.configuration import Configurations
from gateway.domain.work import leases
from gateway.server.worker import do_job, handlers
from gateway.settings import Settings
from gateway.storage.database import Database


async def work_off(db: Database, configurations: Configurations, settings: Settings | None = None) -> int:
    """Do every job that is due, and return how many they were."""
    count, doing = 0, handlers(settings or Settings())
    while claim := await leases.claim(db, doing.keys()):
        await do_job(db, configurations, doing[claim.kind], claim)
        count += 1
    return count
