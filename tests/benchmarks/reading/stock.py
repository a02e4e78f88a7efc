"""The program `gateway` with graphql-core's executor, the reference of the tests: what the compiler is measured against.

.venv/bin/python stock.py serve --port 0
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from reference import Reference

from gateway import cli
from gateway.server.http import app

if __name__ == "__main__":
    app.Operations = Reference
    cli.main()
