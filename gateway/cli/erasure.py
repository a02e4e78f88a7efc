"""What `gateway delete profile` does: identities are resolved in the sandbox, and a fault is told with the identity."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from gateway.cli.removal import Removal
from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.operations.erasure import DeleteScope, delete_profiles, preview_profiles
from gateway.domain.reading.identities import resolve_xids
from gateway.domain.rules.scope import Scope
from gateway.domain.work.jobs import Job
from gateway.domain.work.receipts import DeletionReceipt
from gateway.errors import NotFound
from gateway.storage.database import Database


def erasure_of(identities: Sequence[tuple[str, str]], reach: DeleteScope) -> Removal[Configuration]:
    """Return what erases the people of these namespaces and values, as the sandbox's default policy sees people."""

    def xids(scope: Scope, config: Configuration) -> list[UUID]:
        return resolve_xids(scope, config, identities)

    async def preview(db: Database, scope: Scope, config: Configuration) -> DeletionReceipt:
        graph = config.default_policy.settings.identity_graph
        with _naming(identities):
            return await preview_profiles(db, scope, Configurations(), xids(scope, config), reach=reach, graph=graph)

    async def start(db: Database, scope: Scope, config: Configuration) -> Job:
        graph = config.default_policy.settings.identity_graph
        with _naming(identities):
            return await delete_profiles(db, scope, xids(scope, config), reach=reach, graph=graph)

    return Removal(lambda config, _: config, preview, start, is_final=True, counts_people=True)


@contextmanager
def _naming(identities: Sequence[tuple[str, str]]) -> Iterator[None]:
    """Raise NotFound of an identity in the block with its namespace and value."""
    try:
        yield
    except NotFound as fault:
        namespace, value = identities[int(fault.path[-1])]
        raise NotFound(f"No data names the identity {value!r} of {namespace}.", path=fault.path) from fault
