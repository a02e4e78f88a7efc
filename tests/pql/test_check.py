"""Checking an expression: its type, what it reads, what it costs, and each mistake with its place in words that suffice to mend it."""

import pytest
from pql.examples import EXAMPLES
from pql.sample import EVENT, checked

from gateway.pql.check import MANY_AGGREGATIONS, MANY_LOOPS, check
from gateway.pql.cost import EVENTS_OF_A_PERSON, MAX_EXPRESSION_COST
from gateway.pql.occurrences import MAX_DISTANCE_YEARS
from gateway.pql.parser import MAX_CHAIN_STEPS, MAX_EXPRESSION_DEPTH, MAX_EXPRESSION_LENGTH, MAX_EXPRESSION_NODES
from gateway.pql.problems import MAX_EXPRESSION_PROBLEMS
from gateway.pql.types import name_of

MISTAKES = {
    "": (1, "The expression is empty"),
    " \n ": (1, "The expression is empty"),
    "_acme.points == 3": (14, "equality is written with one `=`"),
    "_acme.points <> 3": (14, "written with `!=`"),
    "_acme.points => 3": (14, "`>=` is how greater or equal is written"),
    "_acme.isMember && true": (16, "joined by `and`"),
    "_acme.in = 'a'": (12, "double quotes"),
    "_acme.`in` = “a”": (14, 'plain double quotes, `"`'),
    '_acme.note = "a': (14, "The string that begins here has no end"),
    '"\\q"': (2, "A string has no `\\q`"),
    '"\\ud800"': (1, "no half of a character"),
    "_acme.points ? 1 : 2": (14, "`if(condition, value, other)`"),
    "homeAddress.city is not null": (18, "`.isNotNull()`"),
    "homeAddress.city = null": (20, "There is no `null`"),
    "homeAddress.city not in []": (18, "one word, `notIn`"),
    "_acme.points = 1 = 2": (18, "Expected `and` or the end, found `=`"),
    "homeAddress.": (13, "ends too early. Expected a name"),
    "(1 + 2": (7, "ends too early. Expected `)`"),
    "xEvent[true": (12, "ends too early. Expected `]`"),
    "f(1,)": (5, "Expected a value, found `)`"),
    "where = 1": (1, "There is no field `where`"),
    "let a = 1 (2)": (11, "Expected `in`"),
    "1 # 2": (3, "`#` means nothing here"),
    "select O from _acme.orders": (8, "ends with `where` and a condition"),
    "_acme.joinedAt occurs < 7 weaks before now": (27, "a unit of time such as `days`, found `weaks`"),
    "_acme.joinedAt occurs < 7 days now": (32, "Expected `before`, `after` or `from`"),
    "_acme.joinedAt occurs < 9999 years before now": (23, f"at most {MAX_DISTANCE_YEARS:,} years"),
    "chain(xEvent, timestamp, [A: true])": (30, "Expected `WHAT(`"),
    "chain(xEvent, _acme.note, [A: WHAT(true)])": (21, "ordered by a date or a date-time"),
    "chain(xEvent, timestamp, [A: WHAT(true), A: WHAT(true)])": (1, "different labels"),
    "homeAdress.city": (1, "There is no field `homeAdress`", "homeAddress"),
    "homeAddress.cty": (13, "There is no field `cty`", "city"),
    "stateProvince": (1, "There is no field `stateProvince`", "homeAddress.stateProvince"),
    "xEvent[_acme.orders.count() > 1]": (14, "There is no field `orders`"),
    "_acme.orders[isMember]": (14, "There is no field `isMember`"),
    "_acme.orders[lines[price > 1]]": (20, "`^price` is that of what is around them", "^price"),
    "_acme.orders[^^price > 1]": (14, "`^` leads out"),
    "_acme.colors[city = 1]": (14, "each is a string, called `this`"),
    "let Price = 1 in (Prise + 1)": (19, "There is no field `Prise`", "Price"),
    "_acme.in = Li": (12, 'A string stands in double quotes, `"Li"`; a variable is named first'),
    "_acme.colors.count > 3": (14, "`count` is a function: its parentheses are missing, as in `.count()`"),
    "_acme.orders.length() > 3": (14, "There is no function `length`", "count"),
    "_acme.orders.sum() > 3": (14, "It is given the field, as in `.sum(price)`"),
    "_acme.joinedAt > 3": (16, "of which none is greater"),
    "_acme.joinedAt occurs last 30 days": (28, "`timestamp occurs < 30 days before now`"),
    "_acme.joinedAt > now - 30 days": (27, "`timestamp occurs < 30 days before now`"),
    "_acme.joinedAt occurs < 30 days ago": (33, "`timestamp occurs < 30 days before now`"),
    "and _acme.isMember": (5, "`and` and `or` stand between two conditions"),
    '_acme.in in ("a", "b")': (17, 'A list stands in brackets, as in `["a", "b"]`'),
    "select * from people": (8, "A search is the condition alone"),
    "$2.homeAddress": (1, "one input here, `$1`"),
    "(P, E) => P.homeAddress.isNull()": (1, "one input here; `E`"),
    "_acme.points.count()": (14, "`count` is a function of an array; this is a number"),
    "_acme.colors.cuont()": (14, "There is no function `cuont`", "count"),
    "count(xEvent)": (1, "as in `x.count(…)`"),
    "today()": (6, "found `(`"),
    "_acme.colors.includes(3)": (23, "looked for among items"),
    "_acme.colors.includes()": (14, "takes one argument"),
    "3 in 4": (3, "An array is expected on the right"),
    "_acme.colors.count(true)": (14, "filter them first"),
    "_acme.tags.color": (12, '`.get("color")`'),
    "_acme.in.size": (10, "no field `size` below a string"),
    "_acme.colors = 1": (14, "`=` compares an array of strings with a number"),
    "_acme.colors > _acme.colors": (14, "`>` compares numbers, strings and times"),
    '_acme.born = "2000-01-01"': (12, "A day is written `date(2026, 1, 31)`"),
    "_acme.joinedAt + 1": (7, "Times are compared by `occurs`"),
    '1 + "a"': (5, "A number is expected here; this is a string"),
    "_acme.points and true": (7, "A condition is expected here; this is a number"),
    "_acme.colors and true": (7, "by a filter"),
    "_acme.points occurs today": (14, "What `occurs` is a date or a date-time"),
    "_acme.joinedAt occurs before 3": (30, "A time is expected here"),
    "date(2026, 2, 30)": (1, "There is no day 2026-2-30"),
    "date(2026)": (1, "three whole numbers"),
    "last week": (6, "found `week`"),
    '[1, "a"]': (1, "one type; here are a number, a string"),
    'if(true, 1, "a")': (13, "Both values of `if` have one type"),
    '_acme.in.matches("(?<n>a)")': (18, "groups have no names"),
    '_acme.in.matches("a*+")': (18, "no possessive repetitions"),
    '_acme.in.matches("\\\\p{L}")': (18, "no `\\p` here"),
    "_acme.in.matches(_acme.in)": (24, "a regular expression in a string here that is written there"),
    '_acme.in.regexGroup("(a)", 2)': (28, "are 0 to 1"),
    '_acme.in.regexGroup("a|b", 0)': (21, "write the pattern without"),
    '_acme.in like "a\\\\"': (15, "single backslash"),
    "_acme.in like _acme.in": (21, "a string that is written there"),
    "_acme.orders.groupBy(lines)": (22, "grouped by a string, a number"),
    "_acme.orders.topN(price, 0)": (26, "gives 1 to 1,000 items"),
    "_acme.orders.topN(lines, 1)": (19, "put in order by"),
    "_acme.tags.map(V => V)": (18, "parameters in parentheses"),
    "_acme.tags.map((V) => V)": (16, "a lambda of key and value"),
    "_acme.orders.map((A, B) => A)": (18, "has one parameter"),
    'mapEntry("a", 1)': (1, "stands in the lambda of `map` alone"),
    "true and ((X) => X)": (11, "A lambda stands in the parentheses"),
    'inSegment("8b2f")': (1, "`inSegment` is not valid yet"),
    "inSegment(8)": (11, "the id of a segment"),
    '{"nodeType": "fnApply", "fnName": "="}': (1, "pql/text"),
    '{"a": 1, "a": 2}': (1, "each key once"),
    "1234567890123456789012345678901": (1, "at most 30 characters"),
}


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_construct_has_its_type(text):
    found = checked(text)
    assert found.errors == ()
    assert name_of(found.type) == EXAMPLES[text]
    assert found.expression.cost <= MAX_EXPRESSION_COST


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_shown_where_it_is_and_how_to_mend_it(text):
    column, message, *suggestions = MISTAKES[text]
    found = checked(text)
    assert (found.expression, found.warnings) == (None, ())
    assert [(each.line, each.column) for each in found.errors] == [(1, column)]
    assert message in found.errors[0].message
    assert set(suggestions) <= set(found.errors[0].suggestions)
    assert found.errors[0].message[-1] in ".`"


def test_every_mistake_is_found_at_once_by_line_and_column():
    found = checked('homeAddress.cty = "Rome"\n  and xEvent[typ = 1].count() > "2"\n  or _acme.points.sum()')
    assert [(each.line, each.column) for each in found.errors] == [(1, 13), (2, 14), (2, 31), (3, 19)]
    many = checked(" and ".join(["homeAddress.cty = 1"] * 60))
    assert len(many.errors) == MAX_EXPRESSION_PROBLEMS
    assert many.type is not None


def test_words_of_the_language_are_written_in_any_case_and_fields_are_not():
    words = ["exists", "from", "where", "in", "and", "not", "occurs", "between", "today", "and", "now"]
    text = "{} E {} xEvent {} E.eventType {} [] {} {} E.timestamp {} {} {} {} {}"
    paths = [checked(text.format(*map(form, words))).expression.paths for form in (str.lower, str.upper, str.title)]
    assert paths == [("xEvent.eventType", "xEvent.timestamp")] * 3
    assert checked("xEvent.COUNT()").expression
    assert checked("_acme.Points = 1").errors[0].suggestions == ("points",)


def test_what_an_expression_reads_is_known():
    of_profile = checked(
        'homeAddress.city = "Rome" and xEvent[productListItems[SKU = "a"] and timestamp occurs today].count() > 1'
    )
    assert of_profile.expression.paths == ("homeAddress.city", "xEvent.productListItems.SKU", "xEvent.timestamp")
    assert (of_profile.expression.reads_events, of_profile.expression.reads_time) == (True, True)
    assert checked("xEvent.count()").expression.paths == ("xEvent",)
    of_event = check("_acme.amount > 1", EVENT).expression
    assert (of_event.paths, of_event.reads_events, of_event.reads_time) == (("_acme.amount",), False, False)
    assert checked("xEvent.count()", EVENT).errors[0].message == "There is no field `xEvent` here."
    assert checked('identityMap.get("Email").id.includes("a")').expression.paths == ("identityMap.id",)


def test_cost_grows_with_arrays_in_each_other_and_is_bounded():
    one, two = checked("xEvent[_acme.amount > 1]"), checked("xEvent[^xEvent[_acme.amount > 1]]")
    assert two.expression.cost > EVENTS_OF_A_PERSON * one.expression.cost / 2
    (problem,) = checked("xEvent[^xEvent[^^xEvent[_acme.amount > 1]]]").errors
    assert f"at most {MAX_EXPRESSION_COST:,}" in problem.message
    doubled = "".join(f"let A{n} = (A{n - 1} + A{n - 1}) in " for n in range(1, 30))
    assert "at most" in checked(f"let A0 = (1) in {doubled} A29").errors[0].message


def test_behind_a_value_that_is_named_an_expression_costs_less():
    asked = 'not (exists B from xEvent where B._acme.note = "b" and B.timestamp occurs <= 30 days after A.timestamp)'
    named = checked(f'exists A from xEvent where A.productListItems[SKU = "a"] and {asked}').expression
    assert named.cost < checked(f"exists A from xEvent where A._acme.amount > 1 and {asked}").expression.cost / 5
    assert (
        named.cost
        < checked(f'exists A from xEvent where {asked} and A.productListItems[SKU = "a"]').expression.cost / 5
    )


def test_slow_expressions_are_warned_of():
    sums = " + ".join(["_acme.scores.sum()"] * (MANY_AGGREGATIONS + 1))
    assert checked(sums).warnings[0].column == sums.rindex("sum") + 1
    assert checked(" + ".join(["_acme.scores.sum()"] * MANY_AGGREGATIONS)).warnings == ()
    deep = checked("xEvent[^_acme.orders[lines[quantity > ^^^_acme.points]]]")
    assert deep.expression
    assert [f"Here {MANY_LOOPS + 1} arrays" in each.message for each in deep.warnings] == [True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1" + " " * MAX_EXPRESSION_LENGTH, f"at most {MAX_EXPRESSION_LENGTH:,} are allowed"),
        (" and ".join(["true"] * MAX_EXPRESSION_NODES), f"more than {MAX_EXPRESSION_NODES:,} names, values"),
        ("not " * MAX_EXPRESSION_DEPTH + "true", f"More than {MAX_EXPRESSION_DEPTH} operators, calls"),
        (f"chain(xEvent, timestamp, [{', '.join(f'S{n}: WHAT(true)' for n in range(MAX_CHAIN_STEPS + 1))}])", "at most 6 steps"),
        ("exists A0 from xEvent" + "".join(f", A{n} from xEvent" for n in range(1, 7)) + " where true", "at most 6 arrays"),
        (" ".join(f"let A{n} = (A{n - 1} + 1 + 1 + 1 + 1) in" if n else "let A0 = (1) in" for n in range(15)) + " A14", "parts in each other"),
        ('_acme.in.matches("(a{200}){200}")', "too large"),
        (f"let A = ({'*'.join(['_acme.ratio'] * 20)}) in ({'/'.join(['A'] * 20)})", "may have 140,000 digits"),
        (f"[_acme.ratio]{'.map(this * this)' * 9}.sum()", "at most 100,000 are allowed"),
        ("[_acme.ratio]" + '.map({"a": this * this}).a' * 9 + ".max()", "at most 100,000 are allowed"),
    ],
)  # fmt: skip
def test_an_expression_is_bounded_before_anything_walks_it(text, message):
    (problem,) = checked(text).errors
    assert message in problem.message
