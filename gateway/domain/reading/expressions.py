"""Expressions in PQL: what is known of a text before it is used, and what it gives for one person."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import MergePolicy
from gateway.domain.reading.conditions import read_instant, within_range
from gateway.domain.reading.over_events import MAX_EVENTS_GIVEN, given_events, given_in, over_given
from gateway.domain.reading.profiles import read_profiles
from gateway.domain.rules.durations import EARLIEST, Duration, check_lookback
from gateway.domain.rules.scope import READ_CONFIGURATION, Permission, Scope
from gateway.errors import BadPql
from gateway.pql.check import Checked, check
from gateway.pql.inputs import Inputs
from gateway.pql.sql import at_instant, compiled
from gateway.pql.types import name_of
from gateway.runtime.threads import COMPUTATIONS
from gateway.storage.database import Database, Session
from gateway.storage.queries import template
from gateway.xdm.classes import XdmClass

EVALUATE = template("expressions.evaluate_expression")

_OF_ONE: Final = Inputs("p.document", "p.at", len(EVALUATE.parameters), xids="p.xids", since="p.since")


@dataclass(frozen=True, slots=True)
class ExpressionResult:
    """What an expression gave: a value of JSON, None where it is missing; the name of its type; and the instant that `now` was."""

    value: Any
    return_type: str
    as_of: datetime


async def check_expression(scope: Scope, config: Configuration, text: str, xdm_class: XdmClass) -> Checked:
    """Return what is known of an expression over a profile or an event of the sandbox. Looks at no data.

    Needs a scope that reads the configuration; raises Forbidden.
    """
    scope.require(*READ_CONFIGURATION)
    return await COMPUTATIONS.run(check, text, config.input_type(xdm_class))


async def evaluate_expression(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    *,
    text: str,
    xid: UUID,
    lookback: Duration | None = None,
) -> ExpressionResult | None:
    """Return what an expression gives for the person that an xid leads to under a policy; None where there is nobody.

    `lookback`: how old its events may be; None for all of them. Stores nothing. Needs `profile:read`. Raises Forbidden; BadPql for a text
    that is no expression over profiles, and for a value that cannot be computed; BadInput for another look-back; Unavailable, Timeout.
    """
    scope.require(Permission.PROFILE_READ)
    checked = await COMPUTATIONS.run(check, text, config.input_type(XdmClass.INDIVIDUAL_PROFILE))
    if checked.expression is None or checked.type is None:
        raise checked.errors[0].error
    if lookback is not None:
        check_lookback(lookback)
    async with db.snapshot() as tx:
        at = await read_instant(tx)
        (result,) = await read_profiles(tx, scope, config, policy, [xid])
        profile = result.profile
        if profile is None:
            return None
        since = None if lookback is None else lookback.before(at)
        document = orjson.dumps(profile.document).decode()
        xids, expression = profile.person.xids, checked.expression
        are_given = tx.is_distributed and expression.reads_events
        found = compiled(expression, over_given(_OF_ONE, "p") if are_given else _OF_ONE)
        events = given_in(_OF_ONE.parameters + len(found.values) + 1, "1") if are_given else ""
        given = [await _events_of(tx, scope, xids, at)] if are_given else []
        values = (document, list(xids), at, since, *at_instant(found.values, at), *given)
        with within_range("the expression computes"):
            answer = await tx.value(EVALUATE.filled(value=found.sql, events=events), scope.sandbox_id, *values)
            value = None if answer is None else orjson.loads(answer)
    return ExpressionResult(value, name_of(checked.type), at)


async def _events_of(tx: Session, scope: Scope, xids: tuple[UUID, ...], until: datetime) -> list[str]:
    """Return the events of one person up to a time, for a statement that is given them. Raises BadPql for too many.

    They are not cut by the window of the expression: attributes in it have windows of their own.
    """
    async for _, events in given_events(tx, scope, [xids], since=EARLIEST, until=until):
        return events
    raise BadPql(f"The person has more than {MAX_EVENTS_GIVEN:,} events, which are not gone through on a cluster.")
