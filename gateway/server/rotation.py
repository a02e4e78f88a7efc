"""Rotation of the secret that signs tokens: a new one signs from now on, tokens of the former one hold until it is dropped.

Servers that run meanwhile take tokens of the new secret: they read the credentials again when a token names a key that they do not know.
"""

import asyncio
from dataclasses import replace

from gateway.domain.config.tokens import keep_public_keys, record_rotation, revoke_signing_key
from gateway.errors import NotFound, SettingsError
from gateway.server.credentials import drop_former_key, replace_signing_key
from gateway.server.deployment import Deployment
from gateway.settings import Settings


async def rotate(settings: Settings, deployment: Deployment) -> Deployment:
    """Replace the secret of a data directory, and return the deployment with the new one. Tokens of the one before the former are revoked.

    Raises SettingsError where the settings name the secret, Conflict if another command has just replaced it.
    """
    if settings.jwt_secret is not None:
        raise SettingsError(
            "GATEWAY_JWT_SECRET names the secret: set a new one there, and this one as GATEWAY_JWT_FORMER_SECRET."
        )
    before, scope = deployment.signing_keys, await deployment.scope()
    if before.former is not None:
        await revoke_signing_key(deployment.db, scope, before.former.key_id)
    keys = await asyncio.to_thread(replace_signing_key, settings.data_dir, before.current)
    await keep_public_keys(deployment.db, keys.public)
    await record_rotation(deployment.db, scope, before=before.current.key_id, after=keys.current.key_id)
    return replace(deployment, signing_keys=keys)


async def drop_former(settings: Settings, deployment: Deployment) -> Deployment:
    """Revoke all tokens of the former secret, and return the deployment without it. Raises NotFound if there is none, SettingsError."""
    former = deployment.signing_keys.former
    if former is None:
        raise NotFound("There is no former secret.")
    await revoke_signing_key(deployment.db, await deployment.scope(), former.key_id)
    if settings.jwt_secret is None:
        await asyncio.to_thread(drop_former_key, settings.data_dir, former)
    return replace(deployment, signing_keys=replace(deployment.signing_keys, former=None))
