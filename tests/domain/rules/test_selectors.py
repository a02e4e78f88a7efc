"""The selector language: what it accepts, what it takes, and the laws that hold for every selector and document."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.rules.selectors import MAX_SELECTOR_DEPTH, MAX_SELECTOR_LENGTH, apply, parse, paths
from gateway.errors import BadSelector

anytime = settings(deadline=None)  # the machine may be busy

names = st.sampled_from(["a", "b", "c", "_id", "x-y"])
selectors = st.recursive(
    st.dictionaries(names, st.none(), min_size=1, max_size=3),
    lambda inner: st.dictionaries(names, st.none() | inner, min_size=1, max_size=3),
    max_leaves=8,
)
values = st.recursive(
    st.integers(0, 9) | st.booleans() | st.text(max_size=2),
    lambda inner: st.dictionaries(names, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=15,
)
documents = st.dictionaries(names, values, max_size=4)


blanks = st.sampled_from(["", "", " ", "\n", "\t "])


@st.composite
def items(draw, tree):
    """The items of one of the many texts of a tree: dots or parentheses, some of them twice."""
    texts = []
    for name, inner in draw(st.permutations(list(tree.items()))):
        if inner is None:
            texts.append(name)
        elif draw(st.booleans()):
            texts.append(f"{name}{draw(blanks)}({draw(rendered(inner))}){draw(blanks)}")
        else:
            texts += [f"{name}{draw(blanks)}.{draw(blanks)}{item}" for item in draw(items(inner))]
    return texts + draw(st.lists(st.sampled_from(texts), max_size=1))


@st.composite
def rendered(draw, tree):
    return draw(blanks) + f"{draw(blanks)},{draw(blanks)}".join(draw(items(tree))) + draw(blanks)


def plus(one, other):
    """Both selectors together; what either takes whole is whole."""
    both = {**one, **other}
    for name in one.keys() & other.keys():
        both[name] = None if one[name] is None or other[name] is None else plus(one[name], other[name])
    return both


@anytime
@given(st.data(), selectors)
def test_every_text_of_a_tree_is_parsed_to_that_tree(data, tree):
    assert parse(data.draw(rendered(tree))) == tree


@anytime
@given(st.data(), selectors, selectors)
def test_overlapping_paths_add_up(data, one, other):
    text = f"{data.draw(rendered(one))},{data.draw(rendered(other))}"
    assert parse(text) == plus(one, other)


@anytime
@given(selectors, documents)
def test_apply_takes_nothing_twice(tree, document):
    once = apply(tree, document)
    assert apply(tree, once) == once


@anytime
@given(selectors, selectors, documents)
def test_a_wider_selector_takes_no_less(one, other, document):
    assert apply(one, apply(plus(one, other), document)) == apply(one, document)


@anytime
@given(selectors, documents)
def test_apply_takes_what_a_walk_along_each_path_finds(tree, document):
    def found(value, path):
        """Each value at the path, with the places of the array elements that the walk went through."""
        if isinstance(value, list) and path:
            return [((i, *at), v) for i, element in enumerate(value) for at, v in found(element, path)]
        if not path:
            return [((), value)]
        return found(value[path[0]], path[1:]) if isinstance(value, dict) and path[0] in value else []

    taken = apply(tree, document)
    for path in paths(tree):
        assert found(taken, path) == found(document, path)


@anytime
@given(st.text(alphabet="ab.,() \n", max_size=12))
def test_any_text_parses_or_says_where_it_fails(text):
    try:
        tree = parse(text)
    except BadSelector as error:
        failure = error
    else:
        assert parse(",".join(".".join(path) for path in paths(tree))) == tree
        return
    lines = text.split("\n")
    assert 1 <= failure.line <= len(lines)
    assert 1 <= failure.column <= len(lines[failure.line - 1]) + 1


def test_parentheses_equal_dots():
    assert parse("a(b,c.d)") == parse("a.b,a.c.d") == {"a": {"b": None, "c": {"d": None}}}


def test_arrays_keep_their_length_and_order():
    document = {"items": [{"sku": "A", "n": 1}, {"n": 2}, {"sku": "C"}], "other": 1}
    assert apply(parse("items.sku"), document) == {"items": [{"sku": "A"}, {}, {"sku": "C"}]}
    assert apply(parse("items.sku"), {"items": []}) == {"items": []}


def test_parents_are_kept_and_unknown_fields_are_left_out():
    document = {"person": {"name": {"firstName": "Ana"}, "tags": ["x"]}}
    assert apply(parse("person.name.lastName,nothing.here"), document) == {"person": {"name": {}}}
    assert apply(parse("person(name.firstName.deeper,tags.deeper)"), document) == {"person": {"name": {}}}


def test_paths_are_listed_in_the_selectors_order():
    assert paths(parse("b(c,a),a")) == [("b", "c"), ("b", "a"), ("a",)]


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("", 1, 1, "empty"),
        (" \n ", 1, 1, "empty"),
        ("a,", 1, 3, "the name of a field, found the end"),
        ("a,,b", 1, 3, "found ','"),
        ("a.", 1, 3, "found the end"),
        (".a", 1, 1, "found '.'"),
        ("a b", 1, 3, "a comma or the end, found 'b'"),
        ("a()", 1, 3, "found ')'"),
        ("a(b", 1, 4, "closing parenthesis, found the end"),
        ("a)", 1, 2, "found ')'"),
        ("a(b)c", 1, 5, "found 'c'"),
        ("a(b).c", 1, 5, "found '.'"),
        ("a,\n  b c", 2, 5, "line 2, column 5"),
        (".".join("a" * (MAX_SELECTOR_DEPTH + 1)), 1, 2 * MAX_SELECTOR_DEPTH + 1, "deeper than 64"),
        ("a(" * 9999, 1, 2 * MAX_SELECTOR_DEPTH + 1, "deeper than 64"),
        ("a" * (MAX_SELECTOR_LENGTH + 1), 1, 1, "100,001 characters"),
    ],
)
def test_bad_selectors_say_where(text, line, column, says):
    with pytest.raises(BadSelector) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert says in caught.value.message
