"""A hub that delivers to the store of an edge, turn by turn, as long as a test wants."""

from dataclasses import dataclass, field
from uuid import uuid4

import orjson
from world import World

from gateway.domain.config.tenants import read_own_scope
from gateway.domain.edges import configurations, projections
from gateway.domain.edges.keys import edge_key
from gateway.domain.edges.wanted import Lacking, list_wanted
from gateway.domain.edges.wanted import want as note_wanted
from gateway.domain.operations import projection_centers
from gateway.domain.operations.policy_materialization import materialize_policy
from gateway.domain.operations.projection_delivery import SandboxDelivery
from gateway.domain.operations.projection_store import EdgeStore
from gateway.domain.operations.projection_verification import verify_edge
from gateway.domain.rules.graphs import xid_of
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.storage.database import Database
from gateway.storage.queries import Query


def _statement(text, *parameters):
    return Query("test.statement", text, parameters, (), "rows", "For tests.")


FORGET_JOURNAL = _statement(
    "with gone as (delete from gateway.change where sandbox_id = $1)"
    " update gateway.sandbox set journal_since = gateway.now() + interval '1 second' where sandbox_id = $1 returning 1",
    "sandbox_id",
)
LEASES_RUN_OUT = _statement("update gateway.job set due_at = gateway.now(), lease = null where status = 'PROCESSING'")
NOW = _statement("select gateway.now()")
WIPE = [_statement(f"delete from edge.{table}") for table in ("sandbox", "projection", "identity", "wanted")]


@dataclass
class Hub:
    """The hub of a world, as it delivers to one edge."""

    world: World
    edge: Database
    data_center: str = "VA6"
    issuers: tuple = ()
    delivery: SandboxDelivery = field(init=False)

    async def take_over(self) -> None:
        """Deliver from now on, as a process does that has just started."""
        lease_id = uuid4()
        await projection_centers.release_lease(self.world.db, getattr(self, "lease", None) or _nobody(self.data_center))
        lease = await projection_centers.take_lease(self.world.db, self.data_center, lease_id)
        assert lease is not None
        self.lease = lease
        store = EdgeStore(self.edge, await projection_centers.read_hub(self.world.db), lease)
        self.delivery = SandboxDelivery(
            self.world.db, self.world.configurations, store, await self.scope(), issuers=lambda: self.issuers
        )

    async def scope(self):
        scope = await read_own_scope(self.world.db, self.world.scope.sandbox_id)
        assert scope is not None
        return scope

    async def deliver(self) -> None:
        """Deliver until nothing is left, as if a second had passed since the last time."""
        own = self.delivery
        own._told_at = own._settled_at = own._refreshed_at = own._counted_at = float("-inf")
        while await own.turn(await self.scope()):
            pass
        own._told_at = float("-inf")
        await own.turn(await self.scope())

    async def answer_for_lease(self) -> None:
        """Note that the edge answers."""
        assert await projection_centers.extend_lease(self.world.db, self.lease, is_reached=True, error=None)

    async def answer(self) -> None:
        """Fetch what the edge wants."""
        wants = await list_wanted(self.edge, 200)
        await self.delivery.answer(await self.scope(), wants)

    async def materialize(self) -> None:
        """Do the job that builds the profiles of a policy."""
        world = self.world
        while job := await leases.claim(world.db, [JobKind.MATERIALIZE_POLICY]):
            work = materialize_policy(world.db, await self.scope(), world.configurations, job)
            await leases.carry_out(world.db, job, work)

    async def forget_journal(self) -> None:
        """Let the journal be kept from now on, as if all before was too old."""
        await self.world.db.rows(FORGET_JOURNAL, self.world.scope.sandbox_id)

    async def now(self):
        """Return the time of the hub."""
        return await self.world.db.value(NOW)

    async def wipe(self) -> None:
        """Let the edge lose everything."""
        for statement in WIPE:
            await self.edge.rows(statement)

    async def keys(self, *identities):
        """Return how the edge knows identities, given by namespace and value; with the numbers of the namespaces."""
        config, key = await self.world.config(), edge_key(self.world.scope.sandbox.secret, self.data_center)
        namespaces = [config.namespace(code).namespace_id for code, _ in identities]
        pairs = zip(namespaces, identities, strict=True)
        return [(xid_of(key, namespace, value), namespace, value) for namespace, (_, value) in pairs]

    async def differences(self) -> list:
        """Compare everything that the edge serves with fresh projections."""
        asked = self.world.db, self.edge, await self.scope(), await self.world.config(), self.data_center
        _, found = await verify_edge(*asked)
        return found


def _nobody(data_center):
    return projection_centers.Lease(data_center, uuid4(), 0)


async def looked_up(hub, *identities, name="names"):
    """Return the profiles that the edge serves of identities under a configuration, None where it has nothing."""
    sandbox_id = hub.world.scope.sandbox_id
    served = {each.name: each.configuration_id for each in await configurations.list_served(hub.edge, sandbox_id)}
    if name not in served:
        return [None for _ in identities]
    keys = [key for key, _, _ in await hub.keys(*identities)]
    held = (await projections.look_up(hub.edge, sandbox_id, served[name], None, keys)).held
    return [orjson.loads(held[key].profile) if held.get(key) else None for key in keys]


async def want(hub, configuration, *identities):
    """Let the edge want identities of a configuration."""
    lacking = [Lacking(*each) for each in await hub.keys(*identities)]
    await note_wanted(hub.edge, hub.world.scope.sandbox_id, configuration.configuration_id, lacking)
