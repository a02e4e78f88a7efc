"""Lists of input objects that are kept field by field: to resolvers they are lists of objects."""

import pytest

from gateway.api.identities import IdentityInput, IdentityKeyInput
from gateway.api.rows import Rows, column_of

NAMES = ["Email", "Phone"]
VALUES = ["ada@example.com", "+441"]
KEYS = Rows(lambda given: IdentityKeyInput(**given), {"namespace": NAMES, "value": VALUES}, 2)
ROWS = Rows(lambda given: IdentityInput(**given), {"key": KEYS}, 2)


def test_rows_are_objects_when_they_are_looked_at():
    made = [IdentityInput(key=IdentityKeyInput(namespace=n, value=v)) for n, v in zip(NAMES, VALUES, strict=True)]
    assert list(ROWS) == made
    assert [ROWS[0], ROWS[1]] == made
    assert len(ROWS) == 2


@pytest.mark.parametrize("given", [ROWS, list(ROWS)])
def test_a_field_of_all_of_them_is_given_if_none_leaves_it_out(given):
    assert list(column_of(column_of(given, "key"), "value")) == VALUES
    assert column_of(given, "xid") is None
    assert column_of([*given, IdentityInput(xid="x")], "key") is None


def test_objects_without_fields_are_as_many_as_were_given():
    assert list(Rows(dict, {}, 3)) == [{}, {}, {}]
