"""A sandbox with a fixed history, at fixed times and with a fixed secret, for golden answers.

Two sources disagree about Ada, who has shopped; Ben's record came twice, the second time in a file with mistakes; of a third person there
is one visit only.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import quote
from uuid import UUID

from world import World, event, record

from gateway.api.ids import global_id
from gateway.domain.config import namespaces, policies, tenants
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.facts import batches
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.storage.database import Database
from gateway.storage.queries import Query

END = "2026-02-01T00:00:00Z"
"""The time at which operations run."""

ADA, ADAS_PHONE, ADAS_BROWSER = ("Email", "ada@example.com"), ("Phone", "+441"), ("ECID", "1" * 38)
BEN, NOBODY = ("Email", "ben@example.com"), ("ECID", "9" * 38)
BASKET = {
    "commerce": {"order": {"purchaseID": "o1", "priceTotal": 12.5, "currencyCode": "EUR"}},
    "productListItems": [{"SKU": "tea", "quantity": 2}],
}

FIX_SECRET = Query(
    "test.fix_secret",
    "update gateway.sandbox set secret = decode(repeat('5e', 32), 'hex')",
    (),
    (),
    "none",
    "For tests.",
)


@dataclass
class Story:
    """The sandbox in the database at `dsn`, and the ids of its parts by the names that operations use."""

    dsn: str
    world: World
    names: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def create(cls, dsn: str) -> "Story":
        """Create the sandbox and its history in an empty database."""
        async with _clock(dsn, "2026-01-01T00:00:00Z") as db:
            story = cls(dsn, await World.create(db, "story"))
            async with db.transaction() as tx:
                await tx.execute(FIX_SECRET)
        await story._configure()
        await story._know_people()
        await story._send_file()
        return story

    @asynccontextmanager
    async def at(self, moment: str, dsn: str | None = None) -> AsyncIterator[World]:
        """Open the sandbox at a moment, with an empty cache, as a new process does; `dsn`: in a copy of the database."""
        async with _clock(dsn or self.dsn, moment) as db:
            sandbox = await tenants.read_sandbox(db, self.world.scope.organization.organization_id, None)
            assert sandbox is not None
            scope = replace(self.world.scope, sandbox=sandbox)
            yield replace(self.world, db=db, scope=scope, configurations=Configurations())

    async def _configure(self) -> None:
        async with self.at("2026-01-02T00:00:00Z") as world:
            kind = IdentityType.CROSS_DEVICE
            card = await namespaces.create_namespace(world.db, world.scope, code="Card", name="Loyalty card", kind=kind)
            first_loyalty = (world.loyalty.dataset_id, world.crm.dataset_id)
            rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, first_loyalty)
            settings = PolicySettings("Ranked", IdentityGraphType.PDG, rule)
            ranked = await policies.create_policy(world.db, world.scope, settings)
            self.names |= {
                "crm": global_id("Dataset", world.crm.dataset_id),
                "loyalty": global_id("Dataset", world.loyalty.dataset_id),
                "shop": global_id("Dataset", world.shop.dataset_id),
                "person": global_id("XdmSchema", world.crm.schema_id),
                "event": global_id("XdmSchema", world.shop.schema_id),
                "default": global_id("MergePolicy", (await world.config()).default_policy.policy_id),
                "ranked": global_id("MergePolicy", ranked.policy_id),
                "card": global_id("IdentityNamespace", world.scope.sandbox_id, card.namespace_id),
                "sandbox": global_id("Sandbox", world.scope.sandbox_id),
            }

    async def _know_people(self) -> None:
        async with self.at("2026-01-03T00:00:00Z") as world:
            home = {"city": "London", "postalCode": "N1"}
            ada = record(ADA, ADAS_PHONE, first_name="Ada", homeAddress=home)
            await world.records(ada, record(BEN, first_name="Ben"))
            self.names |= {name: str(await world.xid(*named)) for name, named in (("ada", ADA), ("ben", BEN))}
        async with self.at("2026-01-04T00:00:00Z") as world:
            await world.records(record(ADAS_PHONE, ("Card", "77"), first_name="Adeline"), dataset=world.loyalty)
        async with self.at("2026-01-05T00:00:00Z") as world:
            await world.events(
                event("a1", "2025-12-01T10:00:00Z", ADA, ADAS_BROWSER, eventType="web.webpagedetails.pageViews"),
                event("a2", "2025-12-02T10:00:00Z", ADA, eventType="commerce.purchases", **BASKET),
                event("b1", "2025-12-03T10:00:00Z", BEN, eventType="commerce.purchases"),
                event("n1", "2025-12-04T10:00:00Z", NOBODY),
            )
            self.names["visit"] = global_id("ExperienceEvent", UUID(self.names["ada"]), world.shop.dataset_id, "a1")

    async def _send_file(self) -> None:
        async with self.at("2026-01-06T00:00:00Z") as world:
            config = await world.config()
            batch = await batches.create_batch(world.db, world.scope, config, world.crm.dataset_id, "file-1")
            await world.records(
                record(BEN, ("Phone", "0000"), first_name="Benjamin"),
                {"shoeSize": 44, **record(ADA)},
                record(("Email", "guest")),
                batch_id=batch.batch_id,
            )
            self.names["file"] = global_id("Batch", batch.batch_id)


@asynccontextmanager
async def _clock(dsn: str, moment: str) -> AsyncIterator[Database]:
    """Connect to a database whose clock shows this moment."""
    db = await Database.connect(f"{dsn}&gateway.now={quote(moment)}", size=4)
    try:
        yield db
    finally:
        await db.close()
