"""One word, one meaning: names use the field's words and those of the glossary, and no word that was given up comes back."""

import re

from public_names import ROOT, public_names

RETIRED = frozenset(
    re.findall(
        r"\w+",
        """
        alone bare beside busiest cannot crowd crowds glimpse glimpses heir heirs intake keeper ladder nobody nobodys packet packets rung
        rungs sight tally told trip trips turns whoever whom
        """,
    )
)
"""Riddles that names were made of; the words that say the same stand in the glossary."""


def glossary():
    """The words of the glossary, with what they mean."""
    text = (ROOT / "gateway/docs/internals.md").read_text("utf-8")
    tables = re.findall(r"^\| Word \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = [re.match(r"\| (.+?) \| (.+) \|$", row) for table in tables for row in table.splitlines()]
    return {row[1]: row[2] for row in rows}


def singular(name):
    return "_".join(re.sub(r"(?<=[a-z]{2}[^s])s$", "", re.sub(r"ies$", "y", word)) for word in name.split("_"))


def test_retired_words_name_nothing():
    named = public_names()
    assert [(path, name) for path in named for name in named[path] if RETIRED & set(name.split("_"))] == []


def test_every_word_of_the_glossary_names_something():
    spoken = {f"_{singular(name)}_" for names in public_names().values() for name in names}
    missing = [
        word
        for word in glossary()
        if not any(f"_{singular(word.lower().replace(' ', '_'))}_" in name for name in spoken)
    ]
    assert not missing


def test_the_glossary_explains_the_words_that_are_ours():
    assert glossary().keys() >= {"xid", "tie", "component", "fragment", "unlinked pair", "profile"}
