"""Several expressions as the columns of one statement."""

from collections.abc import Callable, Iterable
from typing import Any

from gateway.pql.sql import Compiled


def as_columns(expressions: Iterable[Callable[[int], Compiled]], parameters: int) -> Compiled:
    """Return expressions as columns of a statement that has so many parameters, and the values of their own, which come behind these.

    Each is compiled by a function of how many parameters come before those of the expression.
    """
    columns, values = list[str](), list[Any]()
    for compile_behind in expressions:
        column = compile_behind(parameters + len(values))
        columns.append(column.sql)
        values += column.values
    return Compiled(", ".join(columns), tuple(values))
