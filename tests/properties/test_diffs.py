"""A comparison of policies finds what brute force finds, which creates the candidate and reads everybody by both."""

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from properties.histories import VALUES, by_examples, histories

from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.operations import diffs
from gateway.domain.reading import identities, profiles
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType, canonical, leaves


@st.composite
def settings_of_policies(draw, name):
    """Generate settings of any kind, with datasets by name."""
    order = draw(
        st.just([]) | st.permutations(["crm", "loyalty"]).flatmap(lambda both: st.sampled_from([both, both[:1]]))
    )
    kind = AttributeMergeType.DATASET_PRECEDENCE if order else AttributeMergeType.TIMESTAMP_ORDERED
    return PolicySettings(name, draw(st.sampled_from(IdentityGraphType)), AttributeMerge(kind, tuple(order)))


def inside(world, settings):
    """Return the settings with the ids of this world's datasets."""
    rule = settings.attribute_merge
    order = tuple(getattr(world, name).dataset_id for name in rule.order)
    return replace(settings, attribute_merge=AttributeMerge(rule.type, order))


@asynccontextmanager
async def made(world, settings):
    """Create a policy for a while; yield the default one for None."""
    if settings is None:
        yield (await world.config()).default_policy
        return
    policy = await policies.create_policy(world.db, world.scope, settings)
    try:
        yield policy
    finally:
        await policies.delete_policy(world.db, world.scope, policy.policy_id)


async def by_force(world, *both):
    """Compare the profiles of all identities with data under two existing policies, by xid."""
    config = await world.config()
    named = [await world.xid(namespace, value) for namespace, values in VALUES.items() for value in values]
    with_data = await identities.read_primaries(world.db, world.scope, named)
    xids = [xid for xid, is_primary in zip(named, with_data, strict=True) if is_primary]
    seen = []
    for policy in both:
        found = await profiles.read_profiles(world.db, world.scope, config, config.policies[policy.policy_id], xids)
        seen.append([leaves(each.profile.document, config.composites) for each in found])
    return {xid: changes(*both) for xid, *both in zip(xids, *seen, strict=True)}


def changes(old, new):
    return {
        path: (old.get(path), new.get(path))
        for path in old.keys() | new.keys()
        if (path in old) != (path in new) or canonical(old[path]) != canonical(new[path])
    }


@by_examples
@given(
    history=histories(),
    base=st.none() | settings_of_policies("Base"),
    candidate=settings_of_policies("Candidate"),
    chunk=st.integers(1, 5),
    sample=st.none() | st.integers(1, 5),
)
async def test_a_diff_agrees_with_brute_force(replay, monkeypatch, *, history, base, candidate, chunk, sample):
    monkeypatch.setattr(diffs, "IDENTITIES_PER_READ", chunk)
    await replay.empty()
    await replay.run(history)
    world = replay.world
    tried = inside(world, candidate)
    async with made(world, base and inside(world, base)) as existing:
        found = await diffs.diff_policies(
            world.db, world.scope, world.configurations, existing.policy_id, tried, seconds=600, sample=sample
        )
        async with made(world, tried) as really:
            expected = await by_force(world, existing, really)
    compared = sorted(expected)[:sample]
    changed = [xid for xid in compared if expected[xid]]
    assert (found.profiles_compared, found.profiles_changed, found.is_complete) == (len(compared), len(changed), True)
    counts = Counter(path for xid in changed for path in expected[xid])
    assert {field.path: field.profiles_changed for field in found.fields} == counts
    assert [example.xid for example in found.examples] == changed
    for example in found.examples:
        changes = {change.path: (change.base, change.candidate) for change in example.changes}
        assert canonical(sorted(changes.items())) == canonical(sorted(expected[example.xid].items()))
