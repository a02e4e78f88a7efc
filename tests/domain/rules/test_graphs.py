"""`resolve` against a slow, obvious reference; the rules that Adobe's Real-Time Customer Profile states; the values that never link."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.rules import graphs as rules_of
from gateway.domain.rules.graphs import (
    MAX_GRAPH_SIZE,
    MAX_NEIGHBOURS,
    Graph,
    IdentityType,
    LinkRefusal,
    Member,
    RefusedLink,
    Resolution,
    Rules,
    Tie,
    resolve,
    xid_of,
)

anytime = settings(deadline=None)  # the machine may be busy
START = datetime(2026, 1, 1, tzinfo=UTC)
CRM, EMAIL, PHONE, ECID, IDFA, PARTNER, STORE = range(7)
TYPES = {
    CRM: IdentityType.CROSS_DEVICE,
    EMAIL: IdentityType.EMAIL,
    PHONE: IdentityType.PHONE,
    ECID: IdentityType.COOKIE,
    IDFA: IdentityType.DEVICE,
    PARTNER: IdentityType.PARTNER,
    STORE: IdentityType.NON_PEOPLE,
}
LOGIN_FIRST = Rules({CRM: 1, EMAIL: 2, ECID: 3}, frozenset({CRM}))


def member(namespace: int, number: int) -> Member:
    return Member(xid_of(b"a secret for tests", namespace, str(number)), namespace, TYPES[namespace])


def known(*members: Member) -> dict[UUID, Member]:
    return {m.xid: m for m in members}


def tie(*members: Member, day: int = 0) -> Tie:
    return Tie(tuple(m.xid for m in members), START + timedelta(days=day))


def people(resolution: Resolution) -> set[frozenset[UUID]]:
    return {frozenset(graph.xids) for graph in resolution.graphs}


def sets(*groups: Iterable[Member]) -> set[frozenset[UUID]]:
    return {frozenset(m.xid for m in group) for group in groups}


# ------------------------------------------------------------------------------------------------ reference


def dispersed(links, neighbours):
    """The links that are in a component larger than MAX_COMPONENT under every degree limit that their ends keep."""

    def component_size(link, degree_limit):
        within = [each for each in links if all(len(neighbours[x]) <= degree_limit for x in each)]
        met = set(link) if link in within else set()
        while more := {x for each in within if met & set(each) for x in each} - met:
            met |= more
        return len(met)

    if len(neighbours) <= rules_of.MAX_COMPONENT:
        return []
    return [
        link
        for link in links
        if not any(
            0 < component_size(link, degree_limit) <= rules_of.MAX_COMPONENT for degree_limit in rules_of.DEGREE_LIMITS
        )
    ]


def reference(members, ties, unlinked, rules, excluded) -> Resolution:
    """The rules, one after the other, with no thought of speed."""
    linkable = {x for x, m in members.items() if m.type is not IdentityType.NON_PEOPLE}
    said = [(frozenset(t.xids) & linkable, t.at) for t in ties]
    links = {tuple(sorted(pair)) for xids, _ in said for pair in combinations(xids, 2)}
    time = {link: max(at for xids, at in said if xids.issuperset(link)) for link in links}
    neighbours = {x: {y for link in links if x in link for y in link if y != x} for x in linkable}
    excluded = {x for x in linkable if x in excluded or len(neighbours[x]) > MAX_NEIGHBOURS}
    refused = {link: LinkRefusal.IDENTITY_CAP for link in links if excluded & set(link)}
    refused |= dict.fromkeys(dispersed(links - refused.keys(), neighbours), LinkRefusal.IDENTITY_CAP)
    refused |= {link: LinkRefusal.UNLINKED for link in links if link in unlinked or link[::-1] in unlinked}

    def turn(link):
        low, high = sorted((rules.priority.get(members[x].namespace, 10**6) for x in link), reverse=True)
        return low, -((time[link] - START) // timedelta(microseconds=1)), high, link

    groups = [{x} for x in members]
    for link in sorted(links - refused.keys(), key=turn):
        touched = [g for g in groups if g & set(link)]
        union = set().union(*touched)
        namespaces = [members[x].namespace for x in union if members[x].namespace in rules.unique]
        if len(namespaces) > len(set(namespaces)):
            refused[link] = LinkRefusal.UNIQUE_NAMESPACE
        else:
            groups = [g for g in groups if g not in touched] + [union]

    eviction = [{"CROSS_DEVICE", "EMAIL", "PHONE"}, {"DEVICE"}, {"COOKIE"}, {"PARTNER"}]

    def worth(x):
        seen = max(at for xids, at in said if x in xids)
        return next(i for i, c in enumerate(eviction) if members[x].type in c), START - seen, x

    parts = []
    for group in groups:
        most = rules_of.MAX_GRAPH_SIZE
        kept = set(sorted(group, key=worth)[:most]) if len(group) > most else group
        parts += [(kept, len(group)), *(({x}, len(group)) for x in group - kept)]
        for link in links - refused.keys():
            if (group - kept) & set(link):
                refused[link] = LinkRefusal.IDENTITY_CAP

    speaks = ["CROSS_DEVICE", "EMAIL", "PHONE", "DEVICE", "COOKIE", "PARTNER", "NON_PEOPLE"]

    def canonical(x):
        return speaks.index(members[x].type), x

    graphs = []
    for part, size in sorted(parts, key=lambda p: min(map(canonical, p[0]))):
        xids = tuple(sorted(part, key=canonical))
        graphs.append(Graph(xids[0], xids, size, any(set(link) & part for link in refused)))
    return Resolution(tuple(graphs), tuple(RefusedLink(*link, refused[link]) for link in sorted(refused)))


MEMBERS = [member(namespace, number) for namespace in TYPES for number in range(3)]


@st.composite
def histories(draw):
    """A few identities, ties with many equal times, and any settings."""
    chosen = draw(st.lists(st.sampled_from(MEMBERS), min_size=1, max_size=14, unique=True))
    xids = st.sampled_from(MEMBERS).map(lambda m: m.xid)  # some that nobody knows
    rows = st.builds(
        lambda row, hour: Tie(tuple(row), START + timedelta(hours=hour)),
        st.lists(xids, min_size=1, max_size=4),
        st.integers(0, 5),
    )
    unlinked = draw(st.sets(st.tuples(xids, xids), max_size=3))
    ranked = draw(st.permutations(list(TYPES)))[: draw(st.integers(0, 7))]
    unique = frozenset(draw(st.sets(st.sampled_from(list(TYPES)), max_size=3)))
    excluded = draw(st.just(set()) | st.sets(xids, max_size=2))
    rules = Rules({namespace: place for place, namespace in enumerate(ranked, 1)}, unique)
    return known(*chosen), draw(st.lists(rows, max_size=16)), unlinked, rules, excluded


@anytime
@given(histories())
def test_small_histories_resolve_as_the_reference_does(history):
    assert resolve(*history) == reference(*history)


@anytime
@given(histories())
def test_graphs_are_connected_components_if_nothing_is_refused(history):
    members, ties, *_ = history
    plain = (members, ties, (), Rules(), frozenset())
    assert resolve(*plain) == reference(*plain)
    assert resolve(*plain).refused == ()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(0, 3), st.booleans())
def test_large_histories_resolve_as_the_reference_does(seed, uniques, everyone_knows_one):
    """Past the cap and past the limit of neighbours; seeded, since hundreds of links are too many to draw one by one."""
    chance = random.Random(seed)
    chosen = [member(chance.choice(list(TYPES)), number) for number in range(chance.choice([40, 60, 130]))]
    ties = [
        tie(*chance.sample(chosen, chance.choice([1, 2, 2, 3])), day=chance.randrange(20))
        for _ in range(chance.choice([40, 150, 300]))
    ]
    if everyone_knows_one:
        ties += [tie(chosen[0], other, day=chance.randrange(20)) for other in chosen[1:]]
    unique = frozenset(chance.sample(list(TYPES), uniques))
    history = (
        known(*chosen),
        ties,
        {(chosen[1].xid, chosen[2].xid)},
        Rules({CRM: 1, EMAIL: 2, ECID: 3}, unique),
        set(),
    )
    assert resolve(*history) == reference(*history)


@anytime
@given(histories(), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(history, chance):
    members, ties, unlinked, rules, excluded = history
    shuffled = [Tie(tuple(chance.sample(t.xids, len(t.xids))), t.at) for t in chance.sample(ties, len(ties)) + ties[:3]]
    others = dict(chance.sample(list(members.items()), len(members)))
    assert resolve(others, shuffled, {(b, a) for a, b in unlinked}, rules, excluded) == resolve(*history)


@anytime
@given(histories())
def test_every_link_is_inside_one_graph_or_refused(history):
    members, ties, *_ = history
    resolution = resolve(*history)
    assert sorted(x for graph in resolution.graphs for x in graph.xids) == sorted(members)
    home = {x: graph for graph in resolution.graphs for x in graph.xids}
    refused = {frozenset((link.a, link.b)) for link in resolution.refused}
    for row in ties:
        linkable = {x for x in row.xids if x in members and members[x].type is not IdentityType.NON_PEOPLE}
        for pair in combinations(linkable, 2):
            assert home[pair[0]] is home[pair[1]] or frozenset(pair) in refused


@anytime
@given(histories())
def test_a_graph_that_is_not_contested_resolves_to_itself(history):
    members, ties, unlinked, rules, excluded = history
    for graph in resolve(*history).graphs:
        if not graph.contested:
            alone = {x: members[x] for x in graph.xids}
            assert resolve(alone, ties, unlinked, rules, excluded) == Resolution((graph,), ())


# ------------------------------------------------------------------------------------------------ rules by name


def test_strong_links_hold_and_the_shared_device_follows_its_last_user():
    ana, bob, device = member(CRM, 1), member(CRM, 2), member(ECID, 1)
    mail = member(EMAIL, 1)
    ties = [tie(ana, mail), tie(ana, device, day=1), tie(bob, device, day=2)]
    resolution = resolve(known(ana, bob, device, mail), ties, (), LOGIN_FIRST)
    assert people(resolution) == sets([ana, mail], [bob, device])
    assert [(link.reason, {link.a, link.b}) for link in resolution.refused] == [
        (LinkRefusal.UNIQUE_NAMESPACE, {ana.xid, device.xid})
    ]
    assert all(graph.contested for graph in resolution.graphs)


def test_the_direct_link_of_two_unique_values_is_refused():
    ana, bob = member(CRM, 1), member(CRM, 2)
    assert people(resolve(known(ana, bob), [tie(ana, bob)], (), LOGIN_FIRST)) == sets([ana], [bob])


def test_unlinking_cuts_the_direct_link_only():
    ana, mail, phone = member(CRM, 1), member(EMAIL, 1), member(PHONE, 1)
    direct, around = tie(ana, mail), [tie(ana, phone), tie(phone, mail)]
    unlinked = {(mail.xid, ana.xid)}
    assert people(resolve(known(ana, mail), [direct], unlinked, Rules())) == sets([ana], [mail])
    joined = resolve(known(ana, mail, phone), [direct, *around], unlinked, Rules())
    assert people(joined) == sets([ana, mail, phone])
    assert joined.graphs[0].contested
    assert [link.reason for link in joined.refused] == [LinkRefusal.UNLINKED]


def test_beyond_the_cap_the_oldest_of_the_least_class_go_first():
    mail = member(EMAIL, 1)
    cookies = [member(ECID, number) for number in range(MAX_GRAPH_SIZE)]
    partner = member(PARTNER, 1)
    ties = [tie(mail, cookie, day=day) for day, cookie in enumerate(cookies)] + [tie(mail, partner, day=99)]
    resolution = resolve(known(mail, partner, *cookies), ties, (), Rules())
    person = next(graph for graph in resolution.graphs if graph.profile_id == mail.xid)
    assert set(person.xids) == {mail.xid} | {cookie.xid for cookie in cookies[1:]}
    assert people(resolution) - {frozenset(person.xids)} == sets([cookies[0]], [partner])
    assert {(graph.size, graph.contested) for graph in resolution.graphs} == {(MAX_GRAPH_SIZE + 2, True)}
    assert {link.reason for link in resolution.refused} == {LinkRefusal.IDENTITY_CAP}


@given(histories())
@settings(deadline=None, max_examples=300)
def test_large_components_resolve_as_the_reference_does(history):
    """With limits so low that a few identities are a large component; a graph is never larger than a component may be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules_of, "MAX_GRAPH_SIZE", 4)
        patch.setattr(rules_of, "MAX_COMPONENT", 4)
        patch.setattr(rules_of, "DEGREE_LIMITS", (MAX_NEIGHBOURS, 3, 2))
        assert resolve(*history) == reference(*history)


def test_in_a_large_component_identities_with_many_neighbours_join_nobody_and_the_others_stay_joined():
    """Households that only a few shared devices chain together."""
    kiosks = [member(IDFA, number) for number in range(30)]
    homes = [(member(CRM, number), member(EMAIL, number), member(ECID, number)) for number in range(800)]
    ties = [tie(*home) for home in homes]
    ties += [tie(home[0], kiosks[(number + turn) % 30]) for number, home in enumerate(homes) for turn in (0, 1)]
    resolution = resolve(known(*kiosks, *(m for home in homes for m in home)), ties, (), Rules())
    assert people(resolution) == sets(*homes, *([kiosk] for kiosk in kiosks))
    assert {link.reason for link in resolution.refused} == {LinkRefusal.IDENTITY_CAP}
    few = resolve(known(*kiosks, *(m for home in homes[:500] for m in home)), ties, (), Rules())
    assert {graph.size for graph in few.graphs} == {1530}  # not yet too large


def test_a_chain_longer_than_a_component_may_be_joins_nobody():
    chain = [member(EMAIL, number) for number in range(rules_of.MAX_COMPONENT + 1)]
    ties = [tie(a, b) for a, b in pairwise(chain)]
    assert people(resolve(known(*chain), ties, (), Rules())) == sets(*([each] for each in chain))
    assert {graph.size for graph in resolve(known(*chain[1:]), ties, (), Rules()).graphs} == {rules_of.MAX_COMPONENT}


def test_an_identity_with_too_many_neighbours_joins_nobody():
    kiosk, visitors = member(IDFA, 1), [member(EMAIL, number) for number in range(MAX_NEIGHBOURS + 1)]
    resolution = resolve(known(kiosk, *visitors), [tie(kiosk, visitor) for visitor in visitors], (), Rules())
    assert people(resolution) == sets([kiosk], *([visitor] for visitor in visitors))
    assert [link.reason for link in resolution.refused] == [LinkRefusal.IDENTITY_CAP] * (MAX_NEIGHBOURS + 1)


def test_an_identity_with_as_many_neighbours_as_allowed_joins_them():
    kiosk, visitors = member(IDFA, 1), [member(EMAIL, number) for number in range(MAX_NEIGHBOURS)]
    resolution = resolve(known(kiosk, *visitors), [tie(kiosk, visitor) for visitor in visitors], (), Rules())
    assert {graph.size for graph in resolution.graphs} == {MAX_NEIGHBOURS + 1}


def test_an_excluded_identity_joins_nobody_even_with_few_neighbours():
    kiosk, ana = member(IDFA, 1), member(CRM, 1)
    resolution = resolve(known(kiosk, ana), [tie(kiosk, ana)], (), Rules(), {kiosk.xid})
    assert people(resolution) == sets([kiosk], [ana])


def test_non_people_identities_are_graphs_of_one_and_refuse_nothing():
    ana, mail, store = member(CRM, 1), member(EMAIL, 1), member(STORE, 1)
    resolution = resolve(known(ana, mail, store), [tie(ana, store), tie(store, mail)], (), Rules())
    assert people(resolution) == sets([ana], [mail], [store])
    assert resolution.refused == ()


def test_the_profile_is_named_by_the_identity_that_ranks_first():
    ana, mail, cookie = member(CRM, 7), member(EMAIL, 1), member(ECID, 1)
    graph = resolve(known(cookie, mail, ana), [tie(cookie, mail, ana)], (), Rules()).graphs[0]
    assert graph == Graph(ana.xid, (ana.xid, mail.xid, cookie.xid), 3, contested=False)


# ------------------------------------------------------------------------------------------------ values


@given(st.tuples(st.integers(0, 2**63 - 1), st.text()), st.tuples(st.integers(0, 2**63 - 1), st.text()))
def test_an_xid_stands_for_one_identity_of_one_sandbox(one, other):
    ours, theirs = b"our sandbox's secret", b"their sandbox's secret"
    assert xid_of(ours, *one) == xid_of(ours, *one) != xid_of(theirs, *one)
    assert (xid_of(ours, *one) == xid_of(ours, *other)) == (one == other)


def test_xids_never_change():
    """Facts are stored under them."""
    assert xid_of(b"0123456789abcdef", 6, "ana@example.com") == UUID("6c505d35-5ed8-1f31-f457-b33a1167587b")
