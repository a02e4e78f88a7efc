"""What operations may cost: by what they load, known before they run, in no time, whatever their variables are."""

import pytest
from corpus import OPERATIONS
from graphql import (
    OperationDefinitionNode,
    get_introspection_query,
    get_named_type,
    get_nullable_type,
    parse,
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.entities import with_entities
from gateway.api.execution.costs import Cost, check_cost
from gateway.api.execution.limits import Limits
from gateway.api.schema import build_schema
from gateway.api.weights import is_loaded
from gateway.errors import LimitExceeded
from gateway.xdm.classes import XdmClass, compose

SCHEMA = with_entities(build_schema(), *(compose(xdm_class, None, None, "") for xdm_class in XdmClass))
PEOPLE_WITH_EVENTS = "query ($people: Int, $events: Int) { searchProfiles(first: $people) { nodes { id events(first: $events) { nodes { eventType } } } } }"


def costs_of(text, variables=None):
    document = parse(text)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    return [Cost.of(SCHEMA, document, operation)(variables) for operation in operations]


def cost_of(text, **variables):
    (cost,) = costs_of(text, variables)
    return cost


def page(**arguments):
    """Of people: what a page of them costs, each as one object."""
    given = ", ".join(f"{name}: {value}" for name, value in arguments.items())
    return cost_of(f"{{ searchProfiles{f'({given})' if given else ''} {{ nodes {{ __typename }} }} }}")


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_the_project_shows_is_far_from_the_limit(name):
    assert all(0 < cost < Limits().cost / 50 for cost in costs_of(OPERATIONS[name]))


def test_a_thousand_people_may_be_asked_for_ten_events_each_but_not_for_a_thousand():
    check_cost(cost_of(PEOPLE_WITH_EVENTS, people=1000, events=10), Limits())
    with pytest.raises(LimitExceeded) as caught:
        check_cost(cost_of(PEOPLE_WITH_EVENTS, people=1000, events=1000), Limits())
    assert "may cost 1,011,021" in caught.value.message
    assert "at most 100,000" in caught.value.message
    assert "smaller pages" in caught.value.message


def test_the_limit_itself_is_allowed():
    check_cost(7, Limits(cost=7))
    with pytest.raises(LimitExceeded):
        check_cost(8, Limits(cost=7))


# ------------------------------------------------------------------------------------------------ the rule


def test_a_page_has_as_many_items_as_it_asks_for():
    # the connection itself costs as much as a leaf
    assert (page(), page(first=7), page(last=7), page(first="null"), page(first=0)) == (51, 8, 8, 51, 1)
    assert page(first=1001) == page(first=1000) == 1001  # refused when it is read
    assert page(first=-1) == page(first=0)


def test_edges_are_the_page_too_and_what_stands_beside_them_is_not():
    assert cost_of("{ searchProfiles(first: 10) { edges { cursor node { __typename } } } }") == 11
    assert cost_of("{ searchProfiles(first: 10) { pageInfo { endCursor } } }") == 1
    assert cost_of("{ searchProfiles(first: 10) { totalCount } }") == 6


def test_the_costs_of_nested_pages_multiply():
    assert cost_of(PEOPLE_WITH_EVENTS, people=10, events=10) == 112
    assert cost_of(PEOPLE_WITH_EVENTS, people=10) == 516
    assert cost_of(PEOPLE_WITH_EVENTS) == 2577


@pytest.mark.parametrize("many", ["profiles(identities: $many) { status }", "nodes(ids: $many) { id }", "events(identities: $many, first: 0) { nodes { id } }"])  # fmt: skip
def test_a_look_up_of_many_costs_what_is_given(many):
    of_type = "[ID!]!" if "ids" in many else "[IdentityInput!]!"
    costs = [cost_of(f"query ($many: {of_type}) {{ {many} }}", many=["x"] * number) for number in (0, 100, 200)]
    assert costs[0] <= 1
    assert costs[2] - costs[1] >= 100
    assert (
        cost_of(f"query ($many: {of_type}) {{ {many} }}", many="x") <= 3
    )  # one that is not in a list is a list of one


def test_items_of_a_list_are_counted_be_they_variables_or_not():
    assert cost_of('query ($a: ID!) { nodes(ids: [$a, "b", $a]) { __typename } }', a="x") == 6


def test_lists_with_a_bound_count_by_their_usual_length():
    person = '{{ profile(identity: {{xid: "x"}}) {{ {} }} }}'
    assert cost_of(person.format("identities { __typename }")) == 6
    assert cost_of(person.format("explain { rule }")) == 7  # the person, records, and twenty leaves with a rule each


def test_leaves_cost_next_to_nothing_and_whole_documents_little():
    names = ["firstName", "lastName", "fullName", "middleName", "nickName"]
    person = '{{ profile(identity: {{xid: "x"}}) {{ {} }} }}'
    assert cost_of(person.format(f"id entity {{ person {{ name {{ {' '.join(names[:3])} }} }} }}")) == 2
    assert cost_of(person.format(" ".join(f"a{n}: entityJson" for n in range(10)))) == 2


def test_introspection_costs_by_how_large_the_schema_is():
    assert cost_of("{ __typename }") == 0
    names = cost_of("{ __schema { types { name } } }")
    assert 0 <= names - 2 * len(SCHEMA.type_map) / 20 <= 1  # the types and their names
    assert 10 * names < cost_of(get_introspection_query()) < Limits().cost / 10
    assert cost_of("{ a: __schema { types { name } } b: __schema { types { name } } }") >= 2 * names - 1
    assert cost_of("query ($x: Boolean!) { __schema { types @include(if: $x) { name } } }", x=False) == 1
    assert cost_of('{ __type(name: "Query") { name } }') == 1


def test_mutations_cost_by_what_they_select():
    mutation = 'mutation {{ ingestRecords(input: {{datasetId: "x", documents: [{{}}, {{}}]}}) {{ {} }} }}'
    assert cost_of(mutation.format("accepted")) == 1
    assert cost_of(mutation.format("batch { errors(first: 100) { nodes { code } } }")) == 103


def test_what_is_left_out_costs_nothing():
    query = "query ($on: Boolean = true) { viewer { organization } searchProfiles(first: 100) @include(if: $on) { nodes { id } } }"
    assert (cost_of(query), cost_of(query, on=True), cost_of(query, on=False)) == (102, 102, 1)
    skipped = query.replace("@include", "@skip")
    assert (cost_of(skipped), cost_of(skipped, on=True), cost_of(skipped, on=False)) == (1, 1, 102)
    assert cost_of("{ ... @skip(if: true) { searchProfiles { nodes { id } } } ...F @include(if: false) } fragment F on Query { searchProfiles { nodes { id } } }") == 0  # fmt: skip


def test_variables_have_defaults_and_null_is_as_good_as_left_out():
    query = "query ($first: Int = 10) { searchProfiles(first: $first) { nodes { __typename } } }"
    assert (cost_of(query), cost_of(query, first=20), cost_of(query, first=None)) == (11, 21, 51)
    assert cost_of(query, first=20.0) == 21


def test_a_fragment_counts_wherever_it_is_spread_also_on_a_connection():
    fragments = "fragment P on ProfileConnection { nodes { ...N } } fragment N on Profile { identities { ...I } } fragment I on Identity { __typename }"
    assert cost_of("{ searchProfiles(first: 10) { ...P } } " + fragments) == 61
    assert cost_of("{ searchProfiles(first: 10) { ...P ... on ProfileConnection { ...P } } } " + fragments) == 121


def test_of_several_operations_each_has_its_own_cost():
    assert costs_of("query A { viewer { scopes } } query B { searchProfiles(first: 10) { nodes { id } } }") == [1, 11]


# ------------------------------------------------------------------------------------------------ what might break it


def bomb(levels, argument=""):
    """Fragments that spread the next one twice each, under two keys."""
    spread = "a: events{0} {{ nodes {{ profile {{ ...F{1} }} }} }} b: events{0} {{ nodes {{ profile {{ ...F{1} }} }} }}"
    fragments = [f"fragment F{n} on Profile {{ {spread.format(argument, n + 1)} }}" for n in range(levels)]
    query = f'query ($n: Int) {{ profile(identity: {{xid: "x"}}) {{ ...F0 }} }} fragment F{levels} on Profile {{ id }} '
    return query + " ".join(fragments)


@pytest.mark.parametrize("argument", ["", "(first: $n)"])
def test_fragments_that_spread_each_other_are_walked_once(argument):
    document = parse(bomb(30, argument))
    cost = Cost.of(SCHEMA, document, document.definitions[0])
    assert cost({"n": 1000}) > 10**30


def test_fragments_that_spread_themselves_and_unknown_names_are_left_to_validation():
    assert (
        cost_of("{ ...F } fragment F on Query { viewer { scopes } ...F ...Gone ... on Nothing { x } nothing { y } }")
        == 1
    )


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)  # fmt: skip
EVERYWHERE = "query ($n: Int, $many: [ID!]!, $on: Boolean!) { nodes(ids: $many) { id ... on Profile @include(if: $on) { events(first: $n, last: $n) { nodes { id } } } } }"


@given(st.fixed_dictionaries({}, optional={"n": anything, "many": anything, "on": anything}))
def test_no_variables_break_it(variables):
    assert 0 <= costs_of(EVERYWHERE, variables)[0] <= 2 + 1000 * (3 + 1000 * 2)


# ------------------------------------------------------------------------------------------------ what fields and types declare


def test_what_is_read_by_an_id_costs_an_object_unless_it_is_of_the_configuration():
    of_configuration = {
        "ComputedAttribute",
        "Dataset",
        "IdentityNamespace",
        "MergePolicy",
        "ProjectionConfiguration",
        "ProjectionDestination",
        "XdmSchema",
    }
    loaded = {each.name for each in SCHEMA.get_possible_types(SCHEMA.type_map["Node"])} - of_configuration
    for name, field in SCHEMA.query_type.fields.items():
        named = get_named_type(field.type)
        if named.name in loaded and named is get_nullable_type(field.type):  # no list
            assert cost_of(f"{{ {name} {{ __typename }} }}") == 1, name
    assert all(is_loaded(SCHEMA.type_map[name]) for name in loaded)
