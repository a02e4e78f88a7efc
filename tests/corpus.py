"""Every operation that the project shows: golden ones, those of the README, the console's examples."""

import re
from pathlib import Path

from gateway.api.console import BUILT

HERE = Path(__file__).parent
README = (HERE.parent / "README.md").read_text(encoding="utf-8")


def _texts(directory: Path) -> dict[str, str]:
    paths = sorted(directory.rglob("*.graphql"))
    return {str(path.relative_to(directory).with_suffix("")): path.read_text(encoding="utf-8") for path in paths}


GOLDEN = _texts(HERE / "api" / "operations")
EXAMPLES = _texts(BUILT.parent / "page" / "examples")
SHOWN = {
    re.findall(r"\w+", text)[1]: text for text in re.findall(r"^```graphql\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
}  # fmt: skip
OPERATIONS = GOLDEN | EXAMPLES | SHOWN
"""Their texts by name."""
