"""Invisible characters: blanks, control and format characters, and letters that are drawn as nothing."""

from typing import Final

_RUNS: Final = (
    *((0x0000, 0x0020), (0x007F, 0x00A0), (0x00AD, 0x00AD), (0x034F, 0x034F), (0x0600, 0x0605), (0x061C, 0x061C)),
    *((0x06DD, 0x06DD), (0x070F, 0x070F), (0x0890, 0x0891), (0x08E2, 0x08E2), (0x115F, 0x1160), (0x1680, 0x1680)),
    *((0x17B4, 0x17B5), (0x180B, 0x180F), (0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x206F), (0x2800, 0x2800)),
    *((0x3000, 0x3000), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB)),
    *((0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x13438), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A)),
    (0xE0000, 0xE0FFF),
)
"""The first and last code point of each run. A list of our own: identities are keyed by what is left, so it must not change with Python's Unicode."""

BLANKS: Final = "".join(chr(code) for first, last in _RUNS for code in range(first, last + 1))
ASCII_BLANKS: Final = "".join(filter(str.isascii, BLANKS))
INVISIBLE: Final = BLANKS.removeprefix(ASCII_BLANKS)
"""The invisible characters beyond ASCII."""


def stripped(text: str) -> str:
    """Return the text without blanks and other invisible characters at its ends."""
    return text.strip(ASCII_BLANKS if text.isascii() else BLANKS)
