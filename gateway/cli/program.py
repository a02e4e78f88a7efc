"""The program `gateway`: its commands, each in a module that is imported when the command runs."""

import ast
import sys
from importlib import import_module
from pkgutil import get_data
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from gateway.errors import GatewayError
from gateway.runtime.garbage_collection import no_garbage
from gateway.runtime.late import late

if TYPE_CHECKING:
    from importlib import metadata

    from rich import text

    from gateway.cli import notes as consoles
else:
    metadata, text, consoles = late("importlib.metadata"), late("rich.text"), late("gateway.cli.notes")

COMMANDS = (
    *("serve", "edge", "demo", "worker", "jobs", "attributes", "preview", "token", "key", "ingest", "export"),
    *("delete", "revert", "changes", "verify", "migrate", "doctor", "backup", "restore", "schema"),
)


class Commands(TyperGroup):
    """The commands in the order of the help, each found in the module of its name."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click calls it so)
        """Return the names of the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return a command as the help lists it, without its module; None for an unknown one."""
        return TyperCommand(cmd_name, help=_summary(cmd_name)) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name, the command and the arguments of the command that is to run; import its module."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and _imported(str(listed.name)), rest


def _imported(name: str) -> Any:
    """Return the command of this name; one with commands of its own is the `Typer` of that name in its module."""
    with no_garbage():
        found = getattr(import_module(f"gateway.cli.{name}"), name)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    command = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode="markdown")
    command.command(name)(found)
    return typer.main.get_command(command)


def _summary(name: str) -> str:
    """Return the first line of a command's docstring, read from its file: to import it takes a hundred times as long.

    What a group such as `jobs` is for is said by its callback `_jobs`.
    """
    source = ast.parse(get_data("gateway.cli", f"{name}.py") or b"")
    (command,) = [each for each in source.body if isinstance(each, ast.FunctionDef) and each.name.lstrip("_") == name]
    return (ast.get_docstring(command) or "").partition("\n")[0]


app = typer.Typer(
    name="gateway",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="A real-time customer profile service: one GraphQL graph over Postgres.\n\n"
    "Without any setting it runs an embedded Postgres and can be reached from this machine only. Environment variables "
    "`GATEWAY_*` set everything else, such as `GATEWAY_DATABASE_URL`; the document Operations lists them, which a server shows at `/docs/operations`.",
)


@app.callback(invoke_without_command=True)
def gateway(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """Print the version if that is requested."""
    if show_version:
        typer.echo(f"gateway {metadata.version('profile-gateway')}")
        raise typer.Exit


def main() -> None:
    """Run the program `gateway`. An error of ours ends it with exit code 1 and a sentence on stderr."""
    try:
        app()
    except GatewayError as error:
        consoles.notes.print(text.Text.assemble(("Error: ", "bold red"), error.message))
        sys.exit(1)
