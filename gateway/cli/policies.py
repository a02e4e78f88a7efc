"""What commands that see people by a merge policy share."""

from typing import Annotated

import typer

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import MergePolicy
from gateway.errors import NotFound

PolicyName = Annotated[
    str | None,
    typer.Option("--policy", help="Name of the merge policy to see people by; else the default one."),
]


def policy_named(config: Configuration, name: str | None) -> MergePolicy:
    """Return the merge policy of this name, the default one for None. Raises NotFound, Misconfigured."""
    if name is None:
        return config.default_policy
    found = config.policies.named(name, lambda policy: policy.settings.name)
    if found is None:
        raise NotFound(f"The sandbox has no merge policy {name!r}.")
    return found
