"""Simulation: the identity graphs that some events would make in an empty sandbox. Nothing is read from the facts, or stored.

The result depends on the events, the identity settings and the sandbox's namespaces, and not on its facts or unlinked pairs. Events are
taken in the order of their times. Events without a time follow all that have one, in the order given.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, combinations
from uuid import UUID

from gateway.domain.config.configuration import Configuration, UsableRows
from gateway.domain.config.identity_settings import NamespaceRule, check_rules
from gateway.domain.facts.documents import NamedIdentity
from gateway.domain.ingest.validation import (
    MAX_IDENTITIES,
    InvalidDocument,
    StatedIdentity,
    check_primary,
    highest_ranked,
    linked_xids,
    primary_first,
    to_identity,
)
from gateway.domain.rules.graphs import LinkRefusal, Member, Resolution, Tie, resolve
from gateway.domain.rules.normalization import RULES
from gateway.domain.rules.scope import READ_CONFIGURATION, Scope
from gateway.errors import Invalid, TooMany
from gateway.xdm.violations import ViolationCode

MAX_EVENTS = 1_000
MAX_NAMED = 5_000
"""The most identities in all events, counted each time that an event names one: it may be linked to the 19 others of the event."""


@dataclass(frozen=True, slots=True)
class SimulatedEvent:
    """An event as far as graphs depend on it: pairs of namespace code and value, the one marked as primary first, and its time."""

    identities: Sequence[tuple[str, str]]
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SimulatedLink:
    """Two identities that an event names together, the smaller xid first. `refusal`: the rule that keeps the link from joining them."""

    a: NamedIdentity
    b: NamedIdentity
    refusal: LinkRefusal | None


@dataclass(frozen=True, slots=True)
class GraphPreview:
    """An identity graph as a query would show it: members in canonical order, links sorted by their ends."""

    identities: tuple[NamedIdentity, ...]
    links: list[SimulatedLink] = field(default_factory=list)
    refused_links: list[SimulatedLink] = field(default_factory=list)


def simulate(
    scope: Scope, config: Configuration, events: Sequence[SimulatedEvent], rules: Sequence[NamespaceRule] | None = None
) -> list[GraphPreview]:
    """List the graphs that the events make under the sandbox's settings, or under `rules`, in the order of first appearance.

    Placeholder values are skipped. Needs `profile:read` or `config:write`. Raises Forbidden; Invalid, TooMany, and NotFound for a
    namespace in `rules`, with the path of the faulty value, such as `events`, `0`, `identities`, `1`, `namespace`.
    """
    scope.require(*READ_CONFIGURATION)
    if len(events) > MAX_EVENTS:
        raise TooMany(f"At most {MAX_EVENTS:,} events at once; {len(events):,} were given.", path=["events"])
    if sum(len(event.identities) for event in events) > MAX_NAMED:
        raise TooMany(f"The events name at most {MAX_NAMED:,} identities in all.", path=["events"])
    config = config if rules is None else _with_rules(config, rules)
    named = [_named(scope, config, place, event) for place, event in enumerate(events)]
    members = {each.xid: each for each in chain.from_iterable(named)}
    ties = [Tie(linked_xids(each), at) for each, at in zip(named, _times(events), strict=True)]
    seen = {xid: Member(xid, each.namespace.namespace_id, each.namespace.type) for xid, each in members.items()}
    found = resolve(seen, ties, (), config.rules)
    return _previews(members, ties, found, {each[0].xid for each in named if each})


def _with_rules(config: Configuration, rules: Sequence[NamespaceRule]) -> Configuration:
    unranked = [replace(each, priority=None, is_unique_per_graph=False) for each in config.namespaces.values()]
    ranked = check_rules({each.code: each for each in unranked}, rules, at=("settings",))
    return replace(config, namespaces=UsableRows({each.namespace_id: each for each in (*unranked, *ranked)}, {}))


def _named(scope: Scope, config: Configuration, place: int, event: SimulatedEvent) -> tuple[NamedIdentity, ...]:
    path = ["events", str(place), "identities"]
    if not event.identities:
        raise Invalid("The event names no identity, so nobody knows whom it is about.", path=path)
    if len(event.identities) > MAX_IDENTITIES:
        raise TooMany(f"An event names at most {MAX_IDENTITIES} identities.", path=path)
    stated = (
        StatedIdentity(code, value, number == 0, None, number) for number, (code, value) in enumerate(event.identities)
    )
    is_placeholder = RULES[scope.sandbox.text_rules].is_placeholder
    claims = [claim for claim in stated if not is_placeholder(claim.value)]
    if not claims:
        return ()
    named = list[NamedIdentity]()
    try:
        for claim in claims:
            named.append(to_identity(config, scope.sandbox, claim))
        first = highest_ranked(named, named[:1]) or named[0]
        claim = claims[named.index(first)]
        check_primary(claim, first.namespace)
    except InvalidDocument as refused:
        (fault,) = refused.violations
        at_fault = "value" if fault.code is ViolationCode.IDENTITY_VALUE else "namespace"
        raise Invalid(fault.message, path=[*path, str(claim.place), at_fault]) from refused
    return primary_first(named, first)


def _times(events: Sequence[SimulatedEvent]) -> Iterator[datetime]:
    """Yield a time for each event, in the order that the module describes. Only their order matters."""
    given = sorted({event.at for event in events if event.at is not None})
    steps = {at: number for number, at in enumerate(given)}
    start = datetime(1, 1, 1, tzinfo=UTC)
    for place, event in enumerate(events):
        step = len(steps) + place if event.at is None else steps[event.at]
        yield start + timedelta(seconds=step)


def _previews(
    members: dict[UUID, NamedIdentity], ties: Iterable[Tie], found: Resolution, with_facts: Collection[UUID]
) -> list[GraphPreview]:
    groups = list(_groups(found, with_facts))
    appearance = {xid: number for number, xid in enumerate(members)}
    groups.sort(key=lambda xids: min(appearance[xid] for xid in xids))
    previews = [GraphPreview(tuple(members[xid] for xid in xids)) for xids in groups]
    preview_of = {xid: number for number, xids in enumerate(groups) for xid in xids}
    refusals = {(link.a, link.b): link.reason for link in found.refused}
    for a, b in sorted({pair for tie in ties for pair in combinations(tie.xids, 2)}):
        link, ends = SimulatedLink(members[a], members[b], refusals.get((a, b))), {preview_of[a], preview_of[b]}
        if link.refusal is not None:
            for number in ends:
                previews[number].refused_links.append(link)
        elif len(ends) == 1:
            previews[ends.pop()].links.append(link)
    return previews


def _groups(found: Resolution, with_facts: Collection[UUID]) -> Iterator[tuple[UUID, ...]]:
    """Yield the xids of each graph with an event, and each other identity by itself."""
    for graph in found.graphs:
        if any(xid in with_facts for xid in graph.xids):
            yield graph.xids
        else:
            yield from ((xid,) for xid in graph.xids)
