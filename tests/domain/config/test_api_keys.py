"""API keys: shown once, bound to sandboxes, seen and revoked by those whose token covers what they open."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.config import api_keys, sandboxes
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission, SandboxType
from gateway.domain.work.audit import AuditFilter, list_entries
from gateway.errors import Forbidden, Invalid, NotFound
from gateway.storage.queries import Query

STORED = Query("test.stored", "select t::text as said from gateway.api_key t", (), (), "row", "For tests.")
LATER = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
async def dev(db, scope):
    """Another sandbox of the organization."""
    return await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)


def bound_to(scope, *names):
    """The scope of a token for these sandboxes alone."""
    return replace(scope, sandboxes=frozenset(names))


async def listed(db, scope, **window):
    return [key.name for key in (await api_keys.list_api_keys(db, scope, Window(**window))).items]


async def test_the_secret_of_a_key_is_returned_once_and_stored_nowhere(db, scope):
    ann = replace(scope, actor="ann")
    key, secret = await api_keys.create_api_key(db, ann, "crm import", None, LATER)
    assert (key.name, key.created_by, key.sandboxes, key.expires_at) == ("crm import", "ann", None, LATER)
    assert secret.startswith(key.prefix)
    assert len(secret) - len(key.prefix) >= 24
    assert await api_keys.read_api_keys(db, scope, [key.api_key_id]) == [key]
    assert secret not in (await db.row(STORED))["said"]
    assert secret not in repr(await list_entries(db, scope, AuditFilter(), Window()))


async def test_a_key_is_seen_by_those_whose_token_covers_a_sandbox_that_it_opens(db, scope, dev):
    ids = {
        "every": None,
        "of dev": [dev.sandbox_id],
        "of prod": [scope.sandbox_id],
        "of both": [dev.sandbox_id, scope.sandbox_id],
    }
    made = {name: (await api_keys.create_api_key(db, scope, name, given))[0] for name, given in ids.items()}
    in_dev = bound_to(replace(scope, sandbox=dev), "dev")
    assert await listed(db, scope) == list(reversed(ids))
    assert await listed(db, in_dev) == ["of both", "of dev", "every"]
    assert await api_keys.count_api_keys(db, in_dev) == 3
    seen = await api_keys.read_api_keys(db, in_dev, [key.api_key_id for key in made.values()])
    assert [key and (key.sandboxes and [each.name for each in key.sandboxes]) for key in seen] == [
        None,
        ["dev"],
        None,
        ["dev"],
    ]
    assert seen[2] is None
    assert sorted(each.name for each in made["of both"].sandboxes) == ["dev", "prod"]
    await sandboxes.delete_sandbox(db, scope, dev.sandbox_id, "dev")
    (left,) = await api_keys.read_api_keys(db, scope, [made["of dev"].api_key_id])
    assert left.sandboxes == ()  # it opens nothing now, never everything


async def test_a_key_is_made_and_revoked_by_those_whose_token_covers_all_that_it_opens(db, scope, dev):
    in_dev = bound_to(replace(scope, sandbox=dev), "dev")
    with pytest.raises(Forbidden):
        await api_keys.create_api_key(db, in_dev, "every")
    with pytest.raises(NotFound) as caught:
        await api_keys.create_api_key(db, in_dev, "other", [dev.sandbox_id, scope.sandbox_id])
    assert caught.value.path == ["sandboxIds", "1"]
    own, _ = await api_keys.create_api_key(db, in_dev, "own", [dev.sandbox_id])
    both, _ = await api_keys.create_api_key(db, scope, "both", [dev.sandbox_id, scope.sandbox_id])
    prod, _ = await api_keys.create_api_key(db, scope, "prod", [scope.sandbox_id])
    with pytest.raises(Forbidden):
        await api_keys.revoke_api_key(db, in_dev, both.api_key_id)
    with pytest.raises(NotFound):
        await api_keys.revoke_api_key(db, in_dev, prod.api_key_id)
    for _ in range(2):  # the second time changes nothing
        await api_keys.revoke_api_key(db, in_dev, own.api_key_id)
    entries = (await list_entries(db, scope, AuditFilter(action="revokeApiKey"), Window())).items
    assert [(entry.subject.key, entry.before["name"]) for entry in entries] == [((str(own.api_key_id),), "own")]
    assert entries[0].before["revokedAt"] is None
    assert entries[0].after["revokedAt"]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"name": " "}, ["name"]),
        ({"name": "x", "sandbox_ids": []}, ["sandboxIds"]),
        ({"name": "x", "expires_at": datetime.now(UTC)}, ["expiresAt"]),
    ],
)
async def test_a_key_that_would_open_nothing_or_has_no_name_is_refused(db, scope, given, path):
    with pytest.raises(Invalid) as caught:
        await api_keys.create_api_key(db, scope, **given)
    assert caught.value.path == path


async def test_keys_are_listed_in_pages_from_both_ends(db, scope):
    names = [f"key {number}" for number in range(5)]
    for name in names:
        await api_keys.create_api_key(db, scope, name)
    names.reverse()
    page = await api_keys.list_api_keys(db, scope, Window(2))
    at = [(key.created_at, key.api_key_id) for key in page.items]
    assert [key.name for key in page.items] == names[:2]
    assert await listed(db, scope, size=2, after=at[1]) == names[2:4]
    assert await listed(db, scope, size=2, backward=True) == names[3:]
    assert await listed(db, scope, size=2, backward=True, before=at[1]) == names[:1]


async def test_without_the_permission_nothing_is_shown_or_done(db, scope):
    key, _ = await api_keys.create_api_key(db, scope, "a key")
    weak = replace(scope, permissions=frozenset(Permission) - {Permission.ADMIN})
    for call in (
        api_keys.create_api_key(db, weak, "another"),
        api_keys.keep_api_key(db, weak, "secret", "another"),
        api_keys.revoke_api_key(db, weak, key.api_key_id),
        api_keys.read_api_keys(db, weak, [key.api_key_id]),
        api_keys.list_api_keys(db, weak, Window()),
        api_keys.count_api_keys(db, weak),
    ):
        with pytest.raises(Forbidden, match="admin"):
            await call
    assert await listed(db, scope) == ["a key"]
