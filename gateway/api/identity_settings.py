"""Identity settings: priorities of namespaces, and which namespaces are unique in a graph."""

from collections.abc import Sequence

import strawberry

from gateway.api.context import Context, itself, plain, resolved_by
from gateway.api.mutations import UserError, changed, mutation, user_errors
from gateway.api.namespaces import NamespaceType
from gateway.domain.config import identity_settings
from gateway.domain.config.namespaces import Namespace

# ------------------------------------------------------------------------------------------------ types


@strawberry.type(description="How one namespace takes part in building identity graphs.")
class NamespaceRule:
    namespace: NamespaceType = resolved_by(itself, "The namespace that the rule is about.")
    priority: int = plain("Its rank among the listed namespaces; 1 is the highest.")
    is_unique_per_graph: bool = plain("Whether a graph holds at most one identity of the namespace.")


@strawberry.type(description="The rules by which identity graphs are built, beyond what was seen together.")
class IdentitySettings:
    namespaces: list[NamespaceRule] = resolved_by(
        itself, "The namespaces that have a rank, the highest first; none without settings."
    )


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="A namespace's place in the identity settings: its place in their list.")
class NamespaceRuleInput:
    namespace: str = plain(
        "Code of the namespace, case included, as in `identityNamespaces`; one that names no people has no place."
    )
    is_unique_per_graph: bool = plain(
        "Whether a graph may hold one identity of it at most; only namespaces of persons, e-mail addresses and phones can be unique.",
        default=False,
    )


@strawberry.input(description="The identity settings of a sandbox, given whole.")
class IdentitySettingsInput:
    namespaces: list[NamespaceRuleInput] = plain(
        f"The namespaces that have a rank, the highest first and each once: those that name people above those of devices, browsers and partners, at most {identity_settings.MAX_UNIQUE_NAMESPACES} of them unique. None turns the settings off."
    )


@strawberry.type(description="The identity settings as they were made, or what was wrong.")
class IdentitySettingsPayload:
    settings: IdentitySettings | None = changed("The settings as they are now; null where nothing was done.")
    user_errors: list[UserError] = user_errors()


def namespace_rules(given: IdentitySettingsInput) -> Sequence[identity_settings.NamespaceRule]:
    """Return the rules that an input lists, the highest priority first."""
    return [identity_settings.NamespaceRule(rule.namespace, rule.is_unique_per_graph) for rule in given.namespaces]


async def _update(context: Context, given: IdentitySettingsInput) -> list[Namespace]:
    return await identity_settings.update_identity_settings(context.db, context.scope, namespace_rules(given))


@strawberry.type(description="Mutations of identity settings.")
class IdentitySettingsMutation:
    update_identity_settings: IdentitySettingsPayload = mutation(
        _update,
        "Replaces the identity settings. New data follows them at once, the people who are there in a job. Needs the scope `config:write`.",
        configures=True,
    )
