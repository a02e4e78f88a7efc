"""What happens to a sandbox beside documents that come in: batches are undone, people erased, linked, parted, merged otherwise, and facts expire."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from properties.histories import START, UNDOING, Step, histories, identities, identity_rules
from working import work_off
from world import World

from gateway.domain.config import datasets, policies, sandboxes
from gateway.domain.config.identity_settings import update_identity_settings
from gateway.domain.operations.erased_identities import lift_erasure
from gateway.domain.operations.erasure import DeleteScope
from gateway.domain.operations.manual_links import link_identities, unlink_identities
from gateway.domain.operations.profile_retention import expire_profiles
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.errors import UserFault
from gateway.storage.database import Database

DAYS = 14
"""Of silence, after which people go who are known by a cookie alone."""

pairs = st.lists(identities, min_size=2, max_size=2, unique=True)
others = st.one_of(
    st.tuples(st.just("undo"), UNDOING, st.integers(0, 5)),
    st.tuples(st.just("erase"), identities, st.sampled_from(DeleteScope)),
    st.tuples(st.just("lift"), identities),
    st.tuples(st.sampled_from(["link", "unlink"]), pairs),
    st.tuples(st.just("rules"), identity_rules()),
    st.tuples(st.just("merge"), st.sampled_from([None, "crm", "loyalty"])),
    st.tuples(st.just("expire_events"), st.integers(0, 4)),
    st.tuples(st.just("expire_people")),
)


@st.composite
def acts(draw, min_size=4, max_size=6, most=1):
    """Generate acts in order: documents that come in, and up to so many others behind each."""
    found = []
    for step in draw(histories(vary=True, min_size=min_size, max_size=max_size)):
        found += [("write", step), *draw(st.lists(others, max_size=most))]
    return found


@dataclass
class Happening:
    """Does acts in a sandbox of its own batches; `later` is the store of DAYS after the present."""

    world: World
    later: Database
    number: int
    batches: list[UUID] = field(default_factory=list)

    async def do(self, act: tuple[Any, ...]) -> None:
        """Do an act, and the jobs that it enqueues. What cannot be done as things stand is left."""
        name, *given = act
        with suppress(UserFault):
            await getattr(self, name)(*given)
        await work_off(self.world.db, self.world.configurations)

    async def write(self, step: Step) -> None:
        """Send documents; those that name somebody who was erased may be refused."""
        dataset = getattr(self.world, step.dataset)
        batch_id = await self.world.batch(f"{self.number}: {step.batch}", dataset)
        self.batches.append(batch_id)
        if step.dataset == "shop":
            await self.world.events(*step.documents, batch_id=batch_id)
        else:
            await self.world.records(*step.documents, dataset=dataset, mode=step.mode, batch_id=batch_id)

    async def undo(self, how: str, place: int) -> None:
        """Take a batch back."""
        if self.batches:
            await getattr(self.world, how)(self.batches[place % len(self.batches)])

    async def erase(self, one: tuple[str, str], reach: DeleteScope) -> None:
        await self.world.erase(await self.world.xid(*one), reach=reach)

    async def lift(self, one: tuple[str, str]) -> None:
        await lift_erasure(self.world.db, self.world.scope, await self.world.xid(*one))

    async def link(self, pair: Any) -> None:
        await link_identities(*self._place, *[await self.world.xid(*one) for one in pair])

    async def unlink(self, pair: Any) -> None:
        await unlink_identities(*self._place, *[await self.world.xid(*one) for one in pair])

    @property
    def _place(self) -> Any:
        return self.world.db, self.world.scope, self.world.configurations

    async def rules(self, rules: Any) -> None:
        await update_identity_settings(self.world.db, self.world.scope, rules)

    async def merge(self, first: str | None) -> None:
        """Make the profiles of the default policy by another rule from now on."""
        merge = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)
        if first is not None:
            merge = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (getattr(self.world, first).dataset_id,))
        policy_id = (await self.world.config()).default_policy.policy_id
        await policies.update_policy(self.world.db, self.world.scope, policy_id, {"attribute_merge": merge})

    async def expire_events(self, days: int) -> None:
        """Remove what happened as long as so many days before START."""
        for kept in ((datetime.now(UTC) - START).days + days, None):
            changes = {"event_retention_days": kept}
            await datasets.update_dataset(self.world.db, self.world.scope, self.world.shop.dataset_id, changes)
            await self._hasten(JobKind.EXPIRE_EVENTS)
            await work_off(self.world.db, self.world.configurations)

    async def expire_people(self) -> None:
        """Remove people who are known by a cookie alone."""
        world = self.world
        for expiry in ((["ECID"], DAYS), None):
            changes = {"pseudonymous_expiry": expiry}
            await sandboxes.update_sandbox(world.db, world.scope, world.scope.sandbox_id, changes)
            if expiry is not None:
                await self._hasten(JobKind.EXPIRE_PROFILES)
                job = await leases.claim(self.later, [JobKind.EXPIRE_PROFILES])
                assert job is not None
                work = expire_profiles(self.later, world.scope, world.configurations, job)
                await leases.carry_out(self.later, job, work)

    async def _hasten(self, kind: JobKind) -> None:
        await jobs.schedule(self.world.db)
        async with self.world.db.transaction() as tx:
            await jobs.hasten(tx, self.world.scope, kind)
