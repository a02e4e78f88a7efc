"""Measures reading the journal of changes, and how long a change is on its way to a follower.

    .venv/bin/python tests/benchmarks/changes.py [--rows 1000000] [--calls 500]

Everything runs in this process on an embedded Postgres of its own (fsync on). A journal of so many rows is made, a thousand a call, and
read from its beginning in pages of a thousand: by GraphQL, by the domain, and as rows by plain keyset pages, which know no transactions and
would miss what ends late. Then a writer makes calls, and a follower with connections of its own notes when each has come.
"""

import argparse
import asyncio
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from client import Client
from world import World, record

from gateway.domain.reading.changes import iterate_changes, list_changes
from gateway.domain.rules.keyset import Key, Window
from gateway.postgres.cluster import Cluster
from gateway.runtime.garbage_collection import collect_rarely
from gateway.storage.database import Database
from gateway.storage.migrations import migrate
from gateway.storage.queries import Query

PAGE = 1_000
FILL = Query(
    "test.fill",
    """insert into gateway.change (sandbox_id, seq, place, kind, profile_id, xids, former_ids, paths, at)
       select $1, seq, n, 'UPDATED', id, array[id, gen_random_uuid()], '{}', '[["person","name","firstName"]]', now()
         from (select nextval('gateway.arrival') as seq offset 0) call,
              (select n, gen_random_uuid() as id from generate_series(0, $2::integer - 1) n) people""",
    ("sandbox_id", "count"), (), "none", "Make the rows of a call.",
)  # fmt: skip
KEYSET = Query(
    "test.keyset",
    """select seq, place, kind, profile_id, xids, former_ids, paths, at from gateway.change
        where sandbox_id = $1 and (seq, place) > ($2, $3) order by seq, place limit $4""",
    ("sandbox_id", "seq", "place", "size"), (), "rows", "Read a page of rows.",
)  # fmt: skip
CHANGES = f"""query Changes($after: String) {{ profileChanges(first: {PAGE}, after: $after) {{
  nodes {{ cursor kind profileId version }} pageInfo {{ hasNextPage endCursor }} }} }}"""


async def fill(world: World, rows: int) -> None:
    for _ in range(rows // PAGE):
        async with world.db.transaction() as tx:
            await tx.execute(FILL, world.scope.sandbox_id, PAGE)


async def by_graphql(world: World) -> int:
    client, count, after, has_next = Client.of(world), 0, None, True
    while has_next:
        page = (await client.data(CHANGES, after=after))["profileChanges"]
        count += len(page["nodes"])
        after, has_next = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return count


async def by_domain(world: World) -> int:
    policy, count, after, has_next = (await world.config()).default_policy, 0, None, True
    while has_next:
        page = await list_changes(world.db, world.scope, policy, Window(PAGE, after=after))
        count += len(page.items)
        after, has_next = page.end.key, page.has_next
    return count


async def by_keyset(world: World) -> int:
    count, last = 0, (-1, 0)
    while rows := await world.db.rows(KEYSET, world.scope.sandbox_id, *last, PAGE):
        count += len(rows)
        last = (rows[-1]["seq"], rows[-1]["place"])
    return count


async def rate(read: Callable[[World], Awaitable[int]], world: World) -> float:
    begin = time.perf_counter()
    count = await read(world)
    return count / (time.perf_counter() - begin)


async def ways(world: World, other: Database, calls: int) -> list[float]:
    """Milliseconds from the commit of each call to its follower."""
    policy = (await world.config()).default_policy
    present = await list_changes(world.db, world.scope, policy, Window(0))
    committed: dict[str, float] = {}
    arrived: dict[str, float] = {}
    names: dict[object, str] = {await world.xid("Email", f"p{n}@x.io"): f"p{n}" for n in range(calls)}

    async def follow(after: Key) -> None:
        async with aclosing(
            iterate_changes(other, world.scope, policy, Window(PAGE, after=after), follow=True)
        ) as pages:
            async for page in pages:
                arrived.update({names[change.profile_id]: time.perf_counter() for change in page.items})
                if len(arrived) == calls:
                    return

    following = asyncio.create_task(follow(present.end.key))
    for n in range(calls):
        await world.records(record(("Email", f"p{n}@x.io")))
        committed[f"p{n}"] = time.perf_counter()
        await asyncio.sleep(0.01)
    await following
    return [1000 * max(0.0, arrived[name] - committed[name]) for name in committed]


async def measure(rows: int, calls: int) -> None:
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as home:
        Path(home).chmod(0o711)
        async with Cluster(Path(home) / "data") as cluster:
            await migrate(cluster.dsn())
            db, other = await Database.connect(cluster.dsn()), await Database.connect(cluster.dsn())
            world = await World.create(db)
            await fill(world, rows)
            collect_rarely()
            print(f"| {'pages of 1,000 from the beginning':<36} | {'changes':>11} | ratio |")
            print(f"|{'-' * 38}|{'-' * 13}|{'-' * 7}|")
            plain = await rate(by_keyset, world)
            for name, read in (
                ("profileChanges", by_graphql),
                ("the domain", by_domain),
                ("rows by keyset", by_keyset),
            ):
                found = await rate(read, world)
                print(f"| {name:<36} | {found:>9,.0f}/s | {found / plain:>5.2f} |", flush=True)
            told = sorted(await ways(world, other, calls))
            p95 = told[len(told) * 95 // 100]
            print(f"\nfrom a commit to its follower: p50 {statistics.median(told):.1f} ms, p95 {p95:.1f} ms")
            await db.close()
            await other.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--calls", type=int, default=500)
    chosen = options.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, {chosen.rows:,} changes\n")
    uvloop.run(measure(chosen.rows, chosen.calls))


if __name__ == "__main__":
    main()
