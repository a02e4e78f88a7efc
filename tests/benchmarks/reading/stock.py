"""The program `gateway` with the stock executor alone: what the compiler is measured against.

.venv/bin/python stock.py serve --port 0
"""

import inspect
from functools import partial

from gateway import cli
from gateway.server.http import app

if __name__ == "__main__":
    if "compiles" in inspect.signature(app.Operations).parameters:
        app.Operations = partial(app.Operations, compiles=False)
    cli.main()
