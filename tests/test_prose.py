"""Docstrings, comments and names of tests are understood alone, as far as a tool can tell: clear and true they are by review."""

import ast
import re
from collections.abc import Iterator

from public_names import ROOT, Documented, definitions, modules, tree_of

UNCLEAR = re.compile(
    r"^(The same|Same|As above|Likewise|Ditto)\b"
    r"|\bThose (that|which|of)\b|\b[Tt]hose whom?\b|\b[Ww]ho(ever|m)\b|\bof which\b|\bhe who\b"
    r"|\b(facts? \d|row \d+|rows? of faults|DESIGN|(house|models|decisions|faults|performance)\.md|issue \d+|S-\d+|the model's own|as in the model)\b"
)
"""Openings that point at another docstring, pronouns in chains, and documents that this repository lacks."""

RIDDLES = re.compile(
    r"\b(comes? of it|at hand|told|tells? no more|has come|stands? (here|there|on)|goes? by|be it|ours from now on|says? so|dear to)\b"
)

NO_VERBS = frozenset(
    re.findall(
        r"\w+",
        """
        a all an any as at both each every everybody everything for from how in it its many most no none of one some that the these this those
        two up what whatever when where whether which who whoever whose
        """,
    )
)
RIDDLES_OF_TESTS = re.compile(r"^test_(who|those_who|of_who)_|_(whoever|whom|those_who|told)_|_told$")


def is_described_in_graphql(definition: Documented) -> bool:
    """Whether a decorator has a `description`: what callers of GraphQL read is the docstring."""
    calls = (one for one in definition.node.decorator_list if isinstance(one, ast.Call))
    return any(keyword.arg == "description" for call in calls for keyword in call.keywords)


def is_property(definition: Documented) -> bool:
    return any("property" in ast.unparse(one) for one in definition.node.decorator_list)


def is_imperative(sentence: str) -> bool:
    """Whether a sentence begins with what may be a verb in its base form."""
    word = re.match(r"[`*]*([A-Z][a-z-]*)\b", sentence)
    return word is not None and word[1].lower() not in NO_VERBS and not re.search(r"[^s]s$|.{3}ed$|.{3}ing$", word[1])


def raised(definition: Documented) -> set[str]:
    """The errors of `gateway.errors` that a function raises in its own body."""
    imports = (node for node in tree_of(definition.path).body if isinstance(node, ast.ImportFrom))
    ours = {one.name for node in imports if node.module == "gateway.errors" for one in node.names}
    errors = (node.exc for node in ast.walk(definition.node) if isinstance(node, ast.Raise) and node.exc)
    return ours & {ast.unparse(error).partition("(")[0] for error in errors}


def findings_of(definition: Documented) -> Iterator[str]:
    doc, is_function = definition.doc, not isinstance(definition.node, ast.ClassDef)
    if doc is None:
        is_short = definition.name.endswith("__") or (is_property(definition) and len(definition.node.body) == 1)
        if definition.is_public and not is_short and not is_described_in_graphql(definition):
            yield "no docstring"
        return
    yield from (found[0] for words in (UNCLEAR, RIDDLES) if (found := words.search(doc)))
    if not definition.is_public or not is_function:
        return
    if not is_property(definition) and not definition.name.endswith("__") and not is_imperative(doc):
        yield f"not imperative: {doc.split()[0]}"
    yield from (f"raises {error}" for error in raised(definition) if error not in doc)


def findings_in(path: str) -> list[str]:
    """What is wrong with the words of a module."""
    doc = ast.get_docstring(tree_of(path))
    comments = re.findall(r"#\s(.*)", (ROOT / path).read_text("utf-8"))
    of_module = ["no docstring"] if not doc and not path.endswith("__main__.py") else []
    of_module += [found[0] for text in (doc or "", *comments) if (found := UNCLEAR.search(text))]
    return of_module + [f"{one.name}: {finding}" for one in definitions(path) for finding in findings_of(one)]


def test_docstrings_stand_alone():
    findings = [f"{path}: {finding}" for path in modules() for finding in findings_in(path)]
    assert not findings, "\n".join(findings)


def test_names_of_tests_name_their_subjects():
    texts = [(path, path.read_text("utf-8")) for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    names = [
        (path, name) for path, text in texts for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE)
    ]
    riddles = [(path, name) for path, name in names if RIDDLES_OF_TESTS.search(name)]
    assert riddles == []
