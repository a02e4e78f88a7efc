"""Names and descriptions that people give: text that can be stored, shown and distinguished; and names of fields as the API has them."""

import re
from collections.abc import Iterable

from gateway.domain.rules.text import stripped
from gateway.errors import Invalid
from gateway.xdm.names import similar_names

MAX_NAME = 255
MAX_DESCRIPTION = 10_000

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def check_name(name: str, path: str = "name") -> None:
    """Raise Invalid, pointing at `path`, unless the name is one line of 1 to 255 characters with a visible one among them."""
    if not stripped(name) or len(name) > MAX_NAME:
        raise Invalid(f"This takes 1 to {MAX_NAME} characters, not only blanks or unseen ones.", path=[path])
    if _CONTROL.search(name):
        raise Invalid("This is one line of text, without control characters.", path=[path])


def check_description(text: str | None, path: str = "description") -> None:
    """Raise Invalid, pointing at `path`, unless the text is None or has up to 10,000 characters that can be stored."""
    if text is not None and (len(text) > MAX_DESCRIPTION or _UNSTORABLE.search(text)):
        raise Invalid(f"This is text of up to {MAX_DESCRIPTION:,} characters, without NUL.", path=[path])


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence, after a blank, that suggests the known names most like this one; the empty text if none is like it."""
    found = similar_names(name, known)
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""


def camel_case(name: str) -> str:
    """Return the API's name of a field: `created_at` is `createdAt`."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
