"""Every operation that the project shows: golden ones, those of the documents, the console's examples."""

import re
from pathlib import Path

from gateway.server.http.console import BUILT
from gateway.server.http.docs import NAMES, read_document

HERE = Path(__file__).parent
DOCUMENTS = [(HERE.parent / "README.md").read_text(encoding="utf-8"), *(read_document(name).text for name in NAMES)]


def _texts(directory: Path) -> dict[str, str]:
    paths = sorted(directory.rglob("*.graphql"))
    return {str(path.relative_to(directory).with_suffix("")): path.read_text(encoding="utf-8") for path in paths}


GOLDEN = _texts(HERE / "api" / "operations")
EXAMPLES = _texts(BUILT.parent / "page" / "examples")
SHOWN = {
    re.search(r"^(?:query|mutation) (\w+)", text, re.MULTILINE)[1]: text
    for document in DOCUMENTS
    for text in re.findall(r"^```graphql\n(.*?)^```$", document, re.DOTALL | re.MULTILINE)
}
OPERATIONS = GOLDEN | EXAMPLES | SHOWN
"""Their texts by name."""
