"""The first start creates a deployment, and later or concurrent starts find it."""

import asyncio
import json
import stat

import asyncpg
import jwt
import orjson
import pytest
from places import reachable_directory
from signed import signed

from gateway.domain.config.api_keys import list_api_keys, revoke_api_key
from gateway.domain.config.tenants import list_organizations
from gateway.domain.config.tokens import list_public_keys, new_token
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission
from gateway.errors import Conflict, NotFound, SettingsError, Unauthenticated, Unavailable
from gateway.server.client_headers import request_headers
from gateway.server.credentials import FILE, keep_credentials
from gateway.server.deployment import database_address, open_deployment, system_user
from gateway.server.http.auth import Callers
from gateway.server.rotation import rotate
from gateway.server.signing_keys import SigningKey, SigningKeys
from gateway.server.token_reader import TokenReader
from gateway.settings import OWN_ISSUER, read_settings


async def test_the_first_start_makes_an_organization_with_headers_that_work(dsn, tmp_path):
    settings = read_settings(database_url=dsn, data_dir=tmp_path)
    async with open_deployment(settings) as store:
        token = new_token("ann", [Permission.PROFILE_READ])
        headers = await request_headers(store, await store.sandbox(None), token)
        given = {name.lower(): value for name, value in headers.items()}
        scope = (await Callers(store.db, TokenReader(store.signing_keys)).meet(given)).scope
    assert (scope.organization.code, scope.sandbox.name, scope.sandbox.is_default) == ("local", "prod", True)
    assert scope.permissions == {Permission.PROFILE_READ}


async def test_many_starts_at_once_make_one_organization_and_one_key(dsn, tmp_path):
    settings = read_settings(database_url=dsn, data_dir=tmp_path)

    async def start():
        async with open_deployment(settings) as store:
            return store.organization, store.api_key, store.signing_keys

    assert len(set(await asyncio.gather(*(start() for _ in range(5))))) == 1
    async with open_deployment(settings) as store:
        assert len(await list_organizations(store.db)) == 1


async def test_an_organization_never_shares_its_api_key(dsn, tmp_path):
    stores = []
    for code in ["local", "acme"]:
        async with open_deployment(read_settings(database_url=dsn, data_dir=tmp_path, organization=code)) as store:
            stores.append(store)
    assert stores[0].signing_keys == stores[1].signing_keys
    assert stores[0].api_key != stores[1].api_key


async def test_secrets_of_the_environment_replace_the_kept_one(dsn, tmp_path):
    secret, former = "from the environment " * 3, "formerly in the environment " * 3
    given = {"jwt_secret": secret, "jwt_former_secret": former}
    async with open_deployment(read_settings(database_url=dsn, data_dir=tmp_path, **given)) as store:
        assert store.signing_keys == SigningKeys(SigningKey(secret), SigningKey(former))
    assert secret not in (tmp_path / FILE).read_text()


async def test_a_kept_key_that_was_revoked_is_replaced_at_the_next_start(dsn, tmp_path):
    settings = read_settings(database_url=dsn, data_dir=tmp_path)
    async with open_deployment(settings) as store:
        scope = await store.scope()
        (key,) = (await list_api_keys(store.db, scope, Window())).items
        assert (key.name, key.created_by, key.sandboxes) == ("gateway token", system_user(), None)
        assert store.api_key.startswith(key.prefix)
        await revoke_api_key(store.db, scope, key.api_key_id)
    async with open_deployment(settings) as again:
        assert again.api_key != store.api_key
        headers = await request_headers(again, await again.sandbox(None), new_token("ann", [Permission.ADMIN]))
        given = {name.lower(): value for name, value in headers.items()}
        assert await Callers(again.db, TokenReader(again.signing_keys)).meet(given)


async def test_a_kept_key_of_another_organization_is_refused(dsn, tmp_path):
    async with open_deployment(read_settings(database_url=dsn, data_dir=tmp_path)) as store:
        key = store.api_key
    kept = orjson.loads((tmp_path / FILE).read_bytes())
    (tmp_path / FILE).write_bytes(orjson.dumps(kept | {"apiKeys": {"acme": key}}))
    with pytest.raises(Conflict, match="another organization"):
        async with open_deployment(read_settings(database_url=dsn, data_dir=tmp_path, organization="acme")):
            pass


async def test_an_unknown_sandbox_and_an_unreachable_database_are_errors_that_say_so(dsn, tmp_path):
    async with open_deployment(read_settings(database_url=dsn, data_dir=tmp_path)) as store:
        with pytest.raises(NotFound, match="'nope'"):
            await store.scope("nope")
    with pytest.raises(Unavailable):
        async with open_deployment(read_settings(database_url="postgresql://127.0.0.1:1/none", data_dir=tmp_path)):
            pass


def test_credentials_are_readable_by_their_owner_alone_and_do_not_change(tmp_path):
    first = keep_credentials(tmp_path / "new", "local")
    path = tmp_path / "new" / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(first.signing_keys.current.secret) >= 32
    assert first.signing_keys.current.secret not in repr(first)
    assert keep_credentials(tmp_path / "new", "local") == first


def test_an_interrupted_write_of_credentials_changes_nothing(tmp_path):
    (tmp_path / "credentials.part").write_text('{"jwtSec')
    kept = keep_credentials(tmp_path, "local")
    assert keep_credentials(tmp_path, "local") == kept


BROKEN = ["", "{}", "[]", '{"jwtSecret": 1', '{"jwtSecret": "s", "apiKeys": {}, "formerJwtSecret": {}}']


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_file_of_credentials_is_left_as_it_is_and_named(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(SettingsError, match=FILE):
        keep_credentials(tmp_path, "local")
    assert (tmp_path / FILE).read_text() == content


def test_an_error_names_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot keep the credentials"):
        keep_credentials(tmp_path / "file", "local")


def test_a_link_that_somebody_put_there_is_not_written_through(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "credentials.part").symlink_to(victim)
    keep_credentials(tmp_path, "local")
    assert victim.read_text() == "mine"


async def test_the_embedded_postgres_has_room_for_the_connections_of_all_workers():
    with reachable_directory() as path:
        settings = read_settings(data_dir=path / "data", workers=20, database_connections=10)
        async with database_address(settings) as address:
            connection = await asyncpg.connect(address)
            assert int(await connection.fetchval("show max_connections")) > 20 * 10
            await connection.close()


async def test_a_data_directory_of_a_former_release_signs_by_a_key_of_its_own_from_its_next_start_on(dsn, tmp_path):
    """Its public key is where edges get theirs, and its former tokens hold until the secret is replaced."""
    secret = "made by a former release, for HS256"
    (tmp_path / FILE).write_text(json.dumps({"jwtSecret": secret, "apiKeys": {}}))
    settings = read_settings(database_url=dsn, data_dir=tmp_path)
    for rotations in range(3):
        async with open_deployment(settings) as store:
            keys = store.signing_keys
            organization_id = store.organization.organization_id
            said = {
                "iss": OWN_ISSUER, "aud": OWN_ISSUER, "exp": 2**40, "org": str(organization_id), "sandboxes": [], "scope": "",
            }  # fmt: skip
            reader = TokenReader(keys)
            assert await reader.read(signed(keys.current.secret, organization_id))
            assert await list_public_keys(store.db) == keys.public
            former = reader.read(jwt.encode(said, secret, algorithm="HS256"))
            if rotations < 2:
                assert await former
            else:
                with pytest.raises(Unauthenticated):
                    await former
            await rotate(settings, store)
