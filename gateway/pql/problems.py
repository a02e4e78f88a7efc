"""What is wrong with an expression, and where."""

from dataclasses import dataclass
from typing import Final

from gateway.errors import BadPql

MAX_EXPRESSION_PROBLEMS: Final = 20
"""Problems of one expression."""

_MAX_MESSAGE_LENGTH: Final = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake or a warning: a sentence, the line and column that it is about, both from 1, and names that may have been meant."""

    message: str
    line: int
    column: int
    suggestions: tuple[str, ...] = ()

    @property
    def error(self) -> BadPql:
        """The problem as an error of the API, which says its place and its suggestions in its text."""
        hint = f" Did you mean {' or '.join(f'`{name}`' for name in self.suggestions)}?" if self.suggestions else ""
        return BadPql(
            f"Line {self.line}, column {self.column}: {self.message}{hint}", line=self.line, column=self.column
        )


class Refused(Exception):
    """An expression has a mistake at this place, behind which it was not read further."""

    def __init__(self, message: str, at: int, suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message, self.at, self.suggestions = message, at, suggestions


def problem_at(text: str, message: str, at: int, suggestions: tuple[str, ...] = ()) -> Problem:
    """Return a problem with the line and column of a place in the text."""
    before = text[:at]
    message = message if len(message) <= _MAX_MESSAGE_LENGTH else f"{message[: _MAX_MESSAGE_LENGTH - 1]}…"
    return Problem(message, before.count("\n") + 1, len(before) - before.rfind("\n"), suggestions)
