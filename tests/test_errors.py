"""The tree of errors is what its docstring draws, and every code belongs to the closed lists of the API."""

import pytest

from gateway import errors

TOP_LEVEL = {
    "UNAUTHENTICATED", "FORBIDDEN", "BAD_INPUT", "BAD_CURSOR", "CURSOR_EXPIRED", "BAD_PQL", "BAD_SELECTOR",
    "LIMIT_EXCEEDED", "RATE_LIMITED", "TIMEOUT", "UNAVAILABLE", "MISCONFIGURED", "INTERNAL",
}  # fmt: skip
USER_ERRORS = {"INVALID", "NOT_FOUND", "CONFLICT", "TAKEN", "LIMIT_EXCEEDED", "FORBIDDEN", "STALE"}


def descendants(cls: type) -> list[type]:
    return [cls, *(d for child in cls.__subclasses__() for d in descendants(child))]


@pytest.mark.parametrize("error", descendants(errors.GatewayError), ids=lambda cls: cls.__name__)
def test_each_error_is_drawn_in_the_tree_and_has_a_known_code(error):
    assert error.__name__ in (errors.__doc__ or "")
    assert error.code in (USER_ERRORS if issubclass(error, errors.UserFault) else TOP_LEVEL)


def test_the_docstring_is_the_default_message():
    assert errors.Stale().message == "Someone changed it first; read it again."


def test_a_user_fault_says_where():
    fault = errors.Invalid("Name is empty.", path=["input", "name"], line=1, column=2)
    assert (fault.path, fault.line, fault.column) == (["input", "name"], 1, 2)
