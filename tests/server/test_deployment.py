"""The first start creates a deployment, and later or concurrent starts find it."""

import asyncio
import stat

import asyncpg
import pytest
from places import reachable_directory

from gateway.domain.config.tenants import list_organizations
from gateway.domain.rules.scope import Permission
from gateway.errors import NotFound, SettingsError, Unavailable
from gateway.server.client_headers import request_headers
from gateway.server.credentials import FILE, keep_credentials
from gateway.server.deployment import database_address, open_deployment
from gateway.server.http.auth import Callers
from gateway.server.token_reader import TokenReader
from gateway.settings import read_settings


async def test_the_first_start_makes_an_organization_with_headers_that_work(dsn, tmp_path):
    settings = read_settings(database_url=dsn, data_dir=tmp_path)
    async with open_deployment(settings) as store:
        headers = request_headers(store, await store.sandbox(None), [Permission.PROFILE_READ])
        given = {name.lower(): value for name, value in headers.items()}
        scope = await Callers(store.db, TokenReader(store.jwt_secret)).scope_of(given)
    assert (scope.organization.code, scope.sandbox.name, scope.sandbox.is_default) == ("local", "prod", True)
    assert scope.permissions == {Permission.PROFILE_READ}


async def test_many_starts_at_once_make_one_organization_and_one_key(dsn, tmp_path):
    settings = read_settings(database_url=dsn, data_dir=tmp_path)

    async def start():
        async with open_deployment(settings) as store:
            return store.organization, store.api_key, store.jwt_secret

    assert len(set(await asyncio.gather(*(start() for _ in range(5))))) == 1
    async with open_deployment(settings) as store:
        assert len(await list_organizations(store.db)) == 1


async def test_an_organization_never_shares_its_api_key(dsn, tmp_path):
    stores = []
    for code in ["local", "acme"]:
        async with open_deployment(read_settings(database_url=dsn, data_dir=tmp_path, organization=code)) as store:
            stores.append(store)
    assert stores[0].jwt_secret == stores[1].jwt_secret
    assert stores[0].api_key != stores[1].api_key


async def test_a_secret_of_the_environment_replaces_the_kept_one(dsn, tmp_path):
    secret = "from the environment " * 3
    async with open_deployment(read_settings(database_url=dsn, data_dir=tmp_path, jwt_secret=secret)) as store:
        assert store.jwt_secret == secret
    assert secret not in (tmp_path / FILE).read_text()


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
    assert len(first.jwt_secret) >= 32
    assert keep_credentials(tmp_path / "new", "local") == first


def test_an_interrupted_write_of_credentials_changes_nothing(tmp_path):
    (tmp_path / "credentials.part").write_text('{"jwtSec')
    kept = keep_credentials(tmp_path, "local")
    assert keep_credentials(tmp_path, "local") == kept


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"jwtSecret": 1'])
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
