"""Expressions in PQL: what is known of one before it is used anywhere, and what it gives for one person."""

from datetime import datetime
from typing import Annotated

import strawberry

from gateway.api.context import Info, plain, resolved_by
from gateway.api.identities import IdentityArgument, PolicyArgument, input_xid, policy_in
from gateway.api.scalars import JSON
from gateway.api.weights import OBJECT, Weight
from gateway.domain.reading.expressions import ExpressionResult, check_expression, evaluate_expression
from gateway.domain.rules.durations import Duration
from gateway.pql.check import Checked
from gateway.pql.types import name_of
from gateway.xdm.classes import XdmClass

ExpressionArgument = Annotated[
    str,
    strawberry.argument(
        name="expression",
        description='The expression, as text of PQL: `homeAddress.city = "Rome" and xEvent[eventType = "web.visit"].count() > 3`.',
    ),
]
ClassArgument = Annotated[
    XdmClass | None,
    strawberry.argument(
        name="class", description="What it is about: a profile with its events as `xEvent`, or one event."
    ),
]


@strawberry.type(description="Something that is wrong with an expression, or that is better written otherwise.")
class ExpressionProblem:
    is_loaded = False

    message: str = plain("What it is, and mostly how to mend it.")
    line: int | None = plain("The line of the expression that it is about, from 1.")
    column: int | None = plain("The character of that line, from 1.")
    suggestions: list[str] = plain(
        "What may have been meant: names of fields, variables or functions, the likeliest first; mostly none."
    )


def _is_valid(checked: strawberry.Parent[Checked]) -> bool:
    return checked.expression is not None


def _return_type(checked: strawberry.Parent[Checked]) -> str | None:
    return None if checked.type is None else name_of(checked.type)


def _dependencies(checked: strawberry.Parent[Checked]) -> list[str]:
    return [] if checked.expression is None else list(checked.expression.paths)


def _cost(checked: strawberry.Parent[Checked]) -> int | None:
    return None if checked.expression is None else checked.expression.cost


@strawberry.type(description="What is known of an expression before it is used anywhere.")
class ExpressionCheck:
    is_valid: bool = resolved_by(_is_valid, "Whether it has no errors.")
    return_type: str | None = resolved_by(
        _return_type,
        "The type of its value, by its name in XDM: `boolean`, `string`, `long`, `double`, `date`, `date-time`, `array<…>`, `map<…>` or `object`; null where the text cannot be read.",
    )
    dependencies: list[str] = resolved_by(
        _dependencies,
        "Dotted paths of the fields that it reads, those of events under `xEvent`; none where it is not valid.",
    )
    cost: int | None = resolved_by(
        _cost,
        "About how many single values are computed for one profile, taken to have 100 events and 10 items in any other array; null where it is not valid.",
    )
    errors: list[ExpressionProblem] = plain(
        "What is wrong with it, in the order of its text: at most 20 problems, of which several may be told at once."
    )
    warnings: list[ExpressionProblem] = plain(
        "What makes it slow over many people: more than three aggregations, more than two arrays or maps gone through in each other."
    )


async def _check(
    info: Info, expression: ExpressionArgument, *, class_: ClassArgument = XdmClass.INDIVIDUAL_PROFILE
) -> Checked:
    context = info.context
    return await check_expression(context.scope, context.config, expression, class_ or XdmClass.INDIVIDUAL_PROFILE)


LookbackArgument = Annotated[
    Duration | None,
    strawberry.argument(
        name="lookback",
        description="How old the events may be that `xEvent` has: from an hour to three years; left out, all of them.",
    ),
]


@strawberry.type(name="ExpressionResult", description="What an expression gave for one profile.")
class ExpressionResultType:
    is_loaded = False

    value: JSON | None = plain("The value; null where what it is made of is missing. Times are text in UTC.")
    return_type: str = plain("The type of the value, as `ExpressionCheck.returnType` has it.")
    as_of: datetime = plain("The instant that `now` was.")


async def _test(
    info: Info,
    expression: ExpressionArgument,
    identity: IdentityArgument,
    *,
    merge_policy_id: PolicyArgument = None,
    lookback: LookbackArgument = None,
) -> ExpressionResult | None:
    context = info.context
    policy, xid = policy_in(context.config, merge_policy_id), input_xid(context, identity)
    return await evaluate_expression(
        *(context.db, context.scope, context.config, policy), text=expression, xid=xid, lookback=lookback
    )


@strawberry.type(description="Queries of expressions.")
class ExpressionQuery:
    check_expression: ExpressionCheck = resolved_by(
        _check,
        "Type, dependencies, cost and problems of an expression, with their places. Looks at no data.",
        weight=Weight(50 * OBJECT),
    )
    test_expression: ExpressionResultType | None = resolved_by(
        _test,
        "What an expression gives for the person that an identity leads to, and stores nothing; null where there is no such person. A mistake in the expression is BAD_PQL with its line and column. Needs the scope `profile:read`.",
        weight=Weight(200 * OBJECT),  # goes through all events of a person
    )
