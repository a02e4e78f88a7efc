"""Identity settings: priorities of namespaces, and which namespaces are unique in a graph."""

from collections.abc import Sequence
from datetime import datetime

import strawberry

from gateway.api.context import Context, Info, itself, plain, resolved_by
from gateway.api.jobs import SystemJobNode, started_job
from gateway.api.mutations import UserError, changed, current_version, mutation, user_errors
from gateway.api.namespaces import NamespaceType
from gateway.api.scalars import described
from gateway.domain.config import identity_settings
from gateway.domain.config.identity_settings import IdentitySettingsStatus
from gateway.domain.rules.scope import Permission
from gateway.domain.work.jobs import Job, Started

described(
    IdentitySettingsStatus,
    "IdentitySettingsStatus",
    "Whether all people are as the identity settings say. Reads are right either way.",
    BUILDING="A job regroups the people who were there: each is by the old or by the new settings, never a mixture.",
    ACTIVE="All people are as the settings say.",
)

# ------------------------------------------------------------------------------------------------ types


@strawberry.type(description="How one namespace takes part in building identity graphs.")
class NamespaceRule:
    is_loaded = False

    namespace: NamespaceType = resolved_by(itself, "The namespace that the rule is about.")
    priority: int = plain("Its rank among the listed namespaces; 1 is the highest.")
    is_unique_per_graph: bool = plain("Whether a graph holds at most one identity of the namespace.")


async def _job(settings: strawberry.Parent[identity_settings.IdentitySettings], info: Info) -> Job | None:
    return None if settings.job_id is None else await info.context.loaders.job_by_id.load(settings.job_id)


@strawberry.type(description="The rules by which identity graphs are built, beyond what was seen together.")
class IdentitySettings:
    is_loaded = False

    namespaces: list[NamespaceRule] = plain(
        "The namespaces that have a rank, the highest first; none without settings."
    )
    status: IdentitySettingsStatus = plain("Whether all people are as the settings say.")
    job: SystemJobNode | None = resolved_by(
        _job, "What regroups the people who were there while they are BUILDING; else null."
    )
    version: int = plain(
        "1 in a new sandbox, one more with each change. Sent as `currentVersion`, it keeps a caller from overwriting what others changed meanwhile."
    )
    updated_at: datetime | None = plain("When they were last changed; null where they never were.")
    updated_by: str | None = plain(
        "Who changed them last: the subject of the token, or the user who ran the command. Null where nobody did, or it is older than this note."
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
    current_version: int | None = current_version()


@strawberry.type(description="The identity settings as they were made, or what was wrong.")
class IdentitySettingsPayload:
    settings: IdentitySettings | None = changed("The settings as they are now; null where nothing was done.")
    system_job: SystemJobNode | None = started_job(
        "The job that regroups the people who are there; null where nothing is to do."
    )
    user_errors: list[UserError] = user_errors()


def namespace_rules(given: IdentitySettingsInput) -> Sequence[identity_settings.NamespaceRule]:
    """Return the rules that an input lists, the highest priority first."""
    return [identity_settings.NamespaceRule(rule.namespace, rule.is_unique_per_graph) for rule in given.namespaces]


async def _update(context: Context, given: IdentitySettingsInput) -> Started[identity_settings.IdentitySettings]:
    rules, version = namespace_rules(given), given.current_version
    settings = await identity_settings.update_identity_settings(context.db, context.scope, rules, version)
    return Started(settings, settings.job_id)


@strawberry.type(description="Mutations of identity settings.")
class IdentitySettingsMutation:
    update_identity_settings: IdentitySettingsPayload = mutation(
        _update,
        Permission.CONFIG_WRITE,
        "Replaces the identity settings. New data follows them at once, the people who are there in a job. Needs the scope `config:write`.",
        configures=True,
    )
