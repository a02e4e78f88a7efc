"""Previews of computed attributes: what an expression would give for a sample of people, before there is an attribute of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Final

from gateway.domain.config.attribute_expressions import Computation, program_of
from gateway.domain.config.attribute_programs import Definition, in_order
from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import MergePolicy
from gateway.domain.reading.attribute_results import Result, bounded_value
from gateway.domain.reading.computed_attributes import PEOPLE_AT_ONCE, Moment, results_in
from gateway.domain.reading.conditions import read_instant
from gateway.domain.reading.profiles import Profile, search_profiles
from gateway.domain.rules.durations import Duration, check_lookback
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import BadInput, BadPql, Invalid, LimitExceeded
from gateway.pql.aggregates import AT, COUNTED
from gateway.runtime.threads import COMPUTATIONS
from gateway.storage.database import Database
from gateway.xdm.classes import XdmClass

MAX_SAMPLE: Final = 10_000
"""People of a sample."""
DEFAULT_SAMPLE: Final = 1_000
MAX_EXAMPLES: Final = 20

_PREVIEWED: Final = "(preview)"
"""Stands for the name of the attribute; no other has such a one."""


@dataclass(frozen=True, slots=True)
class PreviewedValue:
    """The value that a person would have. `value_at` is the time of the event that it is from, if it is from one."""

    profile: Profile
    value: Any
    value_at: str | None
    events_counted: int
    is_complete: bool


@dataclass(slots=True)
class Preview:
    """What an attribute would be, and what it would give for a sample of people.

    `people_with_events` are those with events that count, `people_with_value` those whose value is not missing, `people_beyond` those
    whose value is missing because a number is beyond any double; `examples` are the first with a value. `is_complete`: time sufficed for
    the sample. `is_everybody`: there are no other people. `seconds`: how long the values took.
    """

    computation: Computation
    as_of: datetime
    window_start: datetime | None
    people_sampled: int = 0
    people_with_events: int = 0
    people_with_value: int = 0
    people_beyond: int = 0
    is_complete: bool = False
    is_everybody: bool = False
    seconds: float = 0.0
    examples: list[PreviewedValue] = field(default_factory=list)

    def add(self, told: Sequence[PreviewedValue]) -> None:
        """Add what was found of some people."""
        having = [each for each in told if each.value is not None]
        self.people_sampled += len(told)
        self.people_with_events += sum(each.events_counted > 0 for each in told)
        self.people_with_value += len(having)
        self.people_beyond += sum(each.value is None and not each.is_complete for each in told)
        self.examples += having[: MAX_EXAMPLES - len(self.examples)]


async def preview_attribute(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    *,
    text: str,
    lookback: Duration | None = None,
    sample: int = DEFAULT_SAMPLE,
    seconds: float,
) -> Preview:
    """Compute what an attribute of people with this expression would give, for the first `sample` people by their ids, in about so many seconds.

    Stores nothing. The ids are hashes, so that the first people are a fair sample. Needs `profile:read`. Raises Forbidden; BadPql for a text
    that no attribute could have, with its place; BadInput for another look-back and for a sample below 1, LimitExceeded for one over MAX_SAMPLE.
    """
    scope.require(Permission.PROFILE_READ)
    _check_sample(sample)
    definition = Definition(_PREVIEWED, text, XdmClass.INDIVIDUAL_PROFILE, lookback)
    try:
        program, computation = await COMPUTATIONS.run(program_of, definition, config.unions, config.programs)
    except Invalid as fault:
        raise BadPql(fault.message, line=fault.line or 1, column=fault.column or 1) from fault
    if lookback is not None:
        check_lookback(lookback)
        if not program.is_of_events:
            raise BadInput("Only an aggregation of a person's events looks back.")
    at = await read_instant(db)
    found = Preview(computation, at, None if lookback is None else lookback.before(at))
    programs = in_order({**config.programs.programs, _PREVIEWED: program}, [_PREVIEWED])
    end, after = monotonic() + seconds, None
    while found.people_sampled < sample and not found.is_everybody and monotonic() < end:
        window = Window(min(PEOPLE_AT_ONCE, sample - found.people_sampled), after=after)
        page = await search_profiles(db, scope, config, policy, window)
        start = monotonic()
        async with db.snapshot() as tx:
            moment = Moment.of(tx, scope, config, at, {_PREVIEWED: found.window_start})
            results = await results_in(moment, programs, page.items)
        found.seconds += monotonic() - start
        found.add([_previewed(*each) for each in zip(page.items, results, strict=True)])
        found.is_everybody = not page.has_next
        after = (page.items[-1].profile_id,) if page.items else None
    found.is_complete = found.is_everybody or found.people_sampled >= sample
    return found


def _check_sample(sample: int) -> None:
    if sample < 1:
        raise BadInput("A sample has at least one person.")
    if sample > MAX_SAMPLE:
        raise LimitExceeded(f"A sample has at most {MAX_SAMPLE:,} people.")


def _previewed(profile: Profile, found: Mapping[str, Result]) -> PreviewedValue:
    told = found[_PREVIEWED]
    value, is_complete = bounded_value(told)
    return PreviewedValue(profile, value, told.get(AT), told.get(COUNTED, 0), is_complete)
