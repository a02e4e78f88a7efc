"""Tests are spread over processes by file."""

from pathlib import Path

import pytest
from distribution import DEMO, LONGEST, Distribution, in_order

HERE = Path(__file__).parents[1]


class Item:
    """A test as the order looks at it."""

    def __init__(self, nodeid: str, *fixturenames: str) -> None:
        self.nodeid, self.fixturenames = nodeid, fixturenames


def test_every_listed_file_exists():
    assert [name for name in LONGEST if not (HERE / name).is_file()] == []
    assert len({*LONGEST}) == len(LONGEST)


def test_the_files_over_the_demo_go_to_one_process_together_and_any_other_by_itself():
    scope = Distribution._split_scope
    nobody = object.__new__(Distribution)
    assert len({scope(nobody, f"{name}::test_a[1]") for name in DEMO}) == 1
    assert scope(nobody, "tests/test_a.py::test_a[x::y]") == scope(nobody, "tests/test_a.py::Some::test_b")
    assert scope(nobody, "tests/test_a.py::test_a") != scope(nobody, "tests/test_b.py::test_a")


def test_the_longest_files_begin_first_and_tests_of_a_file_keep_their_order():
    short, long = [Item(f"tests/test_a.py::test_{name}") for name in "ab"], Item(f"{LONGEST[-1]}::test_x")
    assert in_order([*short, long]) == [long, *short]


def test_a_test_over_the_demo_in_an_unlisted_file_is_an_error_that_says_where_to_list_it():
    assert in_order([Item(f"{DEMO[0]}::test_a", "demo")])
    with pytest.raises(pytest.UsageError, match=r"tests/test_a\.py is over the demo"):
        in_order([Item("tests/test_a.py::test_a", "demo")])
