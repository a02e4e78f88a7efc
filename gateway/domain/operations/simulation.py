"""Identity graphs that some events would make in an empty sandbox: the rules of ingestion and of graphs, and nothing that is stored.

The answer depends on the events, the identity settings and the sandbox's namespaces only, and of its facts, unlinked pairs included, on
none. It is what would be there if all of it had happened before it came in: an event without a time happens after all that have one,
and after those that stand before it.
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

MAX_EVENTS = 1_000
MAX_NAMED = 5_000  # identities of all events: each is linked to up to 19 others


@dataclass(frozen=True, slots=True)
class SimulatedEvent:
    """The identities that an event would name, as codes of namespaces and values, the primary one first; and when it happens."""

    identities: Sequence[tuple[str, str]]
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SimulatedLink:
    """Two identities that an event names together, the smaller xid first; `refusal`: why they join nobody."""

    a: NamedIdentity
    b: NamedIdentity
    refusal: LinkRefusal | None


@dataclass(frozen=True, slots=True)
class GraphPreview:
    """What `links.IdentityGraph` would show: members in canonical order, and links by their ends."""

    identities: tuple[NamedIdentity, ...]
    links: list[SimulatedLink] = field(default_factory=list)
    refused_links: list[SimulatedLink] = field(default_factory=list)


Named = Sequence[tuple[NamedIdentity, ...]]
"""Whom each event names, the identity that it would be stored under first."""


def simulate(
    scope: Scope,
    config: Configuration,
    events: Sequence[SimulatedEvent],
    rules: Sequence[NamespaceRule] | None = None,
) -> list[GraphPreview]:
    """The graph of every identity, those that are named first first; under the sandbox's settings, or under these rules.

    A value that names nobody is passed over. Needs `profile:read` or `config:write`. Raises Forbidden, Invalid, TooMany,
    and NotFound for a namespace of the rules; the path says where.
    """
    scope.require(*READ_CONFIGURATION)
    if len(events) > MAX_EVENTS:
        raise TooMany(f"At most {MAX_EVENTS:,} events at once; {len(events):,} were given.", path=["events"])
    if sum(len(event.identities) for event in events) > MAX_NAMED:
        raise TooMany(f"The events name at most {MAX_NAMED:,} identities in all.", path=["events"])
    config = config if rules is None else _under(config, rules)
    named = [_named(scope, config, place, event) for place, event in enumerate(events)]
    members = {each.xid: each for each in chain.from_iterable(named)}
    ties = [Tie(linked_xids(each), at) for each, at in zip(named, _times(events), strict=True)]
    seen = {xid: Member(xid, each.namespace.namespace_id, each.namespace.type) for xid, each in members.items()}
    found = resolve(seen, ties, (), config.rules)
    return _previews(members, ties, found, {each[0].xid for each in named if each})


def _under(config: Configuration, rules: Sequence[NamespaceRule]) -> Configuration:
    """The configuration as it would be with these settings."""
    unruled = [replace(each, priority=None, is_unique_per_graph=False) for each in config.namespaces.values()]
    ruled = check_rules({each.code: each for each in unruled}, rules, at=("settings",))
    return replace(config, namespaces=UsableRows({each.namespace_id: each for each in (*unruled, *ruled)}, {}))


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
        at_fault = "value" if refused.code == "IDENTITY_VALUE" else "namespace"
        raise Invalid(refused.message, path=[*path, str(claim.place), at_fault]) from refused
    return primary_first(named, first)


def _times(events: Sequence[SimulatedEvent]) -> Iterator[datetime]:
    """Times in the order in which the events happen. Only the order counts, and there is no time after the last one."""
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
    """People, and each by itself the identities that are nobody's, as no event is stored under any that they are tied to."""
    for graph in found.graphs:
        if any(xid in with_facts for xid in graph.xids):
            yield graph.xids
        else:
            yield from ((xid,) for xid in graph.xids)
