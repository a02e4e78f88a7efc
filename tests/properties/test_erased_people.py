"""Of people who are erased nothing is left: in no column of any table, and in no log, whatever was sent of them and in whatever way.

Each identity and each document has a number of its own in all that it says; the numbers are looked for in everything that is stored.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any

import orjson
import pytest
from citus import CitusCluster
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from world import World, day, event, record

from gateway.domain.config.registry import IdentityDescriptor
from gateway.domain.facts import batches
from gateway.domain.operations.batch_removal import delete_batch, revert_batch
from gateway.domain.operations.erasure import DeleteScope
from gateway.domain.operations.erasure_scan import GivenIdentity, scan_for_erased
from gateway.domain.operations.erasure_verification import verify_erasure
from gateway.domain.operations.manual_links import link_identities, unlink_identities
from gateway.domain.operations.verification import verify
from gateway.domain.operations.version_retention import expire_versions
from gateway.domain.rules.versions import Mode
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.stores import STORES
from gateway.errors import Conflict, Invalid, NotFound
from gateway.server.logs import log_observation
from gateway.storage.queries import Query
from gateway.telemetry import listen

EVERYTHING = Query(
    "test.everything",
    " union all ".join(f"select to_jsonb(t)::text from gateway.{store.table} as t" for store in STORES),
    (),
    (),
    "rows",
    "For tests.",
)
NUMBER = re.compile(r"27182818\d{6}")
_numbers = count(27182818000001)
FIELDS = {"card": {"type": "string"}, "deep": {"type": "object", "properties": {"number": {"type": "integer"}}}}
DESCRIBED = (
    IdentityDescriptor("_{code}.card", "CORE"),
    IdentityDescriptor("_{code}.deep.number", "AAID"),
    IdentityDescriptor("personID", "GAID"),
)
FORMS = {"Email": "p{}@x.io", "Phone": "+{}", "ECID": "{:038d}", "CORE": "card-{}", "AAID": "{}", "GAID": "gaid {}"}
OF_PEOPLE = ("Email", "Phone")
PEOPLE = 3

Identity = tuple[str, str]


@dataclass
class Sent:
    """One document: under which identity it is stored, which others it names, and its own number."""

    owner: Identity
    others: list[Identity]
    number: int = field(default_factory=lambda: next(_numbers))


@dataclass
class Story:
    """A sandbox with people, and what was sent."""

    world: World
    code: str
    people: list[list[Identity]]
    sent: list[Sent] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    own_batches: list[Any] = field(default_factory=list)

    @classmethod
    async def begin(cls, db: Any) -> "Story":
        code = f"o{next(_numbers)}"
        described = [replace(one, path=one.path.format(code=code)) for one in DESCRIBED]
        world = await World.create(db, code, described, FIELDS)
        people = [[(space, form.format(next(_numbers))) for space, form in FORMS.items()] for _ in range(PEOPLE)]
        return cls(world, code, people)

    def record(self, sent: Sent, **fields: Any) -> dict[str, Any]:
        """Make the record of a document: identities with a descriptor stand in their fields, the others in the identityMap."""
        self.sent.append(sent)
        described = {space: value for space, value in sent.others if space in {"CORE", "AAID", "GAID"}}
        mapped = [sent.owner, *(each for each in sent.others if each[0] not in described)]
        custom: dict[str, Any] = {}
        if "CORE" in described:
            custom["card"] = described["CORE"]
        if "AAID" in described:
            custom["deep"] = {"number": int(described["AAID"])}
        if custom:
            fields[f"_{self.code}"] = custom
        if "GAID" in described:
            fields["personID"] = described["GAID"]
        return record(*mapped, first_name=f"Name {sent.number}", **fields)

    def event(self, sent: Sent) -> dict[str, Any]:
        self.sent.append(sent)
        return event(f"e{len(self.events)}", day(1), sent.owner, *sent.others, eventType=f"kind {sent.number}")

    async def batch(self, dataset: Any) -> Any:
        batch_id = await self.world.batch(f"batch {next(_numbers) % 1_000_000}", dataset)
        self.own_batches.append(batch_id)
        return batch_id


@st.composite
def named(draw: Any, people: list[list[Identity]]) -> Sent:
    """Draw whom a document is of: one identity of a person, some others of the same, and now and then one of another person."""
    person = draw(st.sampled_from(people))
    owner = draw(st.sampled_from(person))
    others = draw(st.lists(st.sampled_from([one for one in person if one[0] != owner[0]]), unique=True, max_size=3))
    other_person = draw(st.sampled_from(people))
    spaces = {owner[0], *(space for space, _ in others)}
    strangers = [one for one in other_person if one[0] not in spaces and other_person is not person]
    if strangers and draw(st.integers(0, 2)) == 0:
        others = [*others, draw(st.sampled_from(strangers))]
    return Sent(owner, others)


async def send_records(story: Story, whose: list[Sent], draw: Any) -> None:
    documents: list[Any] = [story.record(sent) for sent in whose]
    if draw(st.booleans()):  # as lines of NDJSON
        documents = list(map(orjson.dumps, documents))
    dataset = draw(st.sampled_from([story.world.crm, story.world.loyalty]))
    await story.world.records(
        *documents, dataset=dataset, mode=draw(st.sampled_from(Mode)), batch_id=await story.batch(dataset)
    )


async def send_events(story: Story, whose: list[Sent], _: Any) -> None:
    made = [story.event(sent) for sent in whose]
    story.events += made
    await story.world.events(*made, batch_id=await story.batch(story.world.shop))


async def send_events_again(story: Story, whose: list[Sent], draw: Any) -> None:
    """Send an event again, with another body, and perhaps of another person."""
    if story.events:
        before, other = draw(st.sampled_from(story.events)), story.event(whose[0])
        named = draw(st.sampled_from([other, before]))["identityMap"]
        again = {**other, "_id": before["_id"], "identityMap": named}
        await story.world.events(again, batch_id=await story.batch(story.world.shop))


async def send_refused(story: Story, whose: list[Sent], _: Any) -> None:
    wrong = [{**story.record(sent), "colour": f"red {sent.number}"} for sent in whose]
    keyed = [{**record((sent.owner[0], "somebody else"), ("Unknown", "1")), sent.owner[1]: {"a": 1}} for sent in whose]
    await story.world.records(*wrong, *keyed, orjson.dumps(wrong[0])[:-1], batch_id=await story.batch(story.world.crm))


async def send_warned(story: Story, whose: list[Sent], _: Any) -> None:
    late = {"extSourceSystemAudit": {"lastUpdatedDate": "2999-01-01T00:00:00Z"}}
    await story.world.records(*(story.record(sent, **late) for sent in whose))


async def join_or_part(story: Story, _: list[Sent], draw: Any) -> None:
    """Link two identities by hand, or unlink them."""
    world = story.world
    a, b = [await world.xid(*draw(st.sampled_from(draw(st.sampled_from(story.people))))) for _ in range(2)]
    with suppress(NotFound, Invalid, Conflict):
        verb = draw(st.sampled_from([link_identities, unlink_identities]))
        await verb(world.db, world.scope, world.configurations, a, b)


async def undo(story: Story, _: list[Sent], draw: Any) -> None:
    world = story.world
    if story.own_batches:
        batch_id = draw(st.sampled_from(story.own_batches))
        with suppress(Conflict):
            await batches.complete_batch(world.db, world.scope, batch_id)
            await draw(st.sampled_from([revert_batch, delete_batch]))(world.db, world.scope, batch_id)
            await world.empty_batches()


HAPPENINGS = (
    *(send_records, send_records, send_events, send_events, send_events_again),
    *(send_refused, send_warned, join_or_part, undo),
)


async def settle(story: Story, later: Any) -> None:
    """Let versions expire that were replaced."""
    for batch_id in story.own_batches:
        with suppress(Conflict):
            await batches.complete_batch(story.world.db, story.world.scope, batch_id)
    await jobs.schedule(story.world.db)
    while job := await leases.claim(later, [JobKind.EXPIRE_VERSIONS]):
        work = expire_versions(later, story.world.scope, story.world.configurations, job, days=30)
        await leases.carry_out(later, job, work)


async def numbers(story: Story) -> set[str]:
    """Find every number of a value or a document in everything that is stored."""
    rows = await story.world.db.rows(EVERYTHING)
    return {number for row in rows for number in NUMBER.findall(row[0])}


def number_of(identity: Identity) -> str:
    return NUMBER.search(identity[1])[0]


async def gone(story: Story) -> list[Identity]:
    """List the identities that were erased and are not in use again."""
    found = []
    for identity in (one for person in story.people for one in person):
        check = await verify_erasure(story.world.db, story.world.scope, await story.world.xid(*identity))
        if check.erased_at is not None and not check.is_used_again:
            assert (check.is_erased, check.traces) == (True, ()), identity
            found.append(identity)
    return found


async def assert_nothing_is_left(story: Story, documents: list[Sent], logged: str) -> list[Identity]:
    """No number of an erased identity, or of a document under one, is stored or logged; and both verifications say so."""
    world, erased = story.world, await gone(story)
    forbidden = {number_of(one) for one in erased} | {str(each.number) for each in documents if each.owner in erased}
    assert not forbidden & await numbers(story)
    assert not forbidden & set(NUMBER.findall(logged))
    scan = await scan_for_erased(world.db, world.scope, world.configurations, [GivenIdentity(*one) for one in erased])
    assert (dict(+scan.found), dict(scan.traces), scan.not_erased) == ({}, {}, 0)
    assert await verify(world.db, world.scope, world.configurations) == []
    return erased


@pytest.fixture
def logged(cluster: Any) -> Iterator[Callable[[], str]]:
    """What the gateway has logged in this test, and Postgres ever."""
    end = listen(log_observation)
    with capture_logs() as entries:
        file = None if isinstance(cluster, CitusCluster) else cluster.data_dir / "postgres.log"  # nodes keep their own
        yield lambda: str(entries) + (file.read_text("utf-8", "replace") if file else "")
    end()


@settings(deadline=None, max_examples=15, phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
@given(data=st.data())
async def test_of_erased_people_nothing_is_left_anywhere(db, later, logged, data):
    story = await Story.begin(db)
    for _ in range(data.draw(st.integers(3, 10))):
        happening = data.draw(st.sampled_from(HAPPENINGS))
        whose = [data.draw(named(story.people)) for _ in range(data.draw(st.integers(1, 3)))]
        await happening(story, whose, data.draw)
    if data.draw(st.booleans()):
        await settle(story, await later(timedelta(days=31)))
    world = story.world
    whom = data.draw(
        st.lists(
            st.sampled_from([one for person in story.people for one in person]), min_size=1, max_size=3, unique=True
        )
    )
    reach = data.draw(st.sampled_from(DeleteScope))
    xids = [await world.xid(*one) for one in whom]
    try:
        counted = await world.erase(*xids, reach=reach, is_dry_run=True)
    except NotFound:
        return
    assert (await world.erase(*xids, reach=reach)).receipt == counted.receipt
    before = list(story.sent)
    erased = await assert_nothing_is_left(story, before, logged())
    assert set(whom) <= set(erased)

    again = [replace(sent, number=next(_numbers)) for sent in before]
    await world.records(*(story.record(sent) for sent in again), dataset=world.crm)
    await world.events(*(story.event(sent) for sent in again))
    await send_refused(story, [Sent(one, []) for one in erased if one[0] in OF_PEOPLE], None)
    still = await assert_nothing_is_left(story, story.sent, logged())
    assert {one for one in erased if one[0] in OF_PEOPLE} <= set(still)
