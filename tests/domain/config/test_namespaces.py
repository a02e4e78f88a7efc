"""Namespaces: standard ones, custom ones, and which values are one identity."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import record

from gateway.domain.config import namespaces, registry, sandboxes
from gateway.domain.config.identity_settings import NamespaceRule, update_identity_settings
from gateway.domain.reading import identities
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.normalization import IdentityNormalization
from gateway.domain.rules.scope import Permission, SandboxType
from gateway.errors import BadInput, Forbidden, Invalid, NotFound, Taken
from gateway.xdm.classes import XdmClass

LOYALTY = {"code": "Loyalty", "name": "Loyalty programme", "kind": IdentityType.CROSS_DEVICE}


def templates(found):
    """The standard namespaces of a sandbox as they were before there was any."""
    never = {"created_at": namespaces.NEVER, "updated_at": namespaces.NEVER, "sandbox_id": 0}
    return [replace(each, **never) for each in found if not each.is_custom]


@given(
    st.sampled_from(["ECID", "Email", "CORE"]),
    st.lists(st.text(max_size=3) | st.sampled_from(["1" * 38, "1" * 37, "\u0661" * 38, "\0", "x" * 1024, "x" * 1025])),
)
def test_many_values_are_valid_exactly_if_each_of_them_is(code, values):
    namespace = next(each for each in namespaces.STANDARD if each.code == code)
    assert namespace.are_valid(values) == (not any(map(namespace.fault, values)))


async def test_a_new_sandbox_has_the_standard_namespaces_under_adobes_numbers(db, scope):
    found = {namespace.code: namespace for namespace in await namespaces.list_namespaces(db, scope)}
    assert set(templates(found.values())) == set(namespaces.STANDARD)
    assert (found["Email"].namespace_id, found["Phone"].namespace_id, found["ECID"].namespace_id) == (6, 7, 4)


async def test_custom_namespaces_are_numbered_apart_in_each_sandbox(db, scope):
    first = await namespaces.create_namespace(db, scope, **LOYALTY)
    second = await namespaces.create_namespace(db, scope, **{**LOYALTY, "code": "Club"})
    assert (first.namespace_id, second.namespace_id) == (10_000_001, 10_000_002)
    dev = await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)
    found = await namespaces.list_namespaces(db, replace(scope, sandbox=dev))
    assert templates(found) == sorted(namespaces.STANDARD, key=lambda namespace: namespace.code)


@pytest.mark.parametrize(
    ("code", "other"),
    [("email", "Email"), ("eMail", "Email"), ("ecid", "ECID"), ("LOYALTY", "Loyalty"), ("STRASSE", "Straße")],
)
async def test_codes_do_not_differ_in_case_alone(db, scope, code, other):  # fmt: skip
    for made in ("Loyalty", "Straße"):
        await namespaces.create_namespace(db, scope, **LOYALTY | {"code": made})
    with pytest.raises(Taken, match=f"There is a namespace '{other}' already") as caught:
        await namespaces.create_namespace(db, scope, **LOYALTY | {"code": code})
    assert caught.value.path == ["code"]


async def test_of_two_callers_one_makes_a_code_in_its_case(db, scope):
    codes = ["Club", "club", "CLUB"]
    made = [namespaces.create_namespace(db, scope, **LOYALTY | {"code": code}) for code in codes]
    results = await asyncio.gather(*made, return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["Namespace", "Taken", "Taken"]


async def test_email_addresses_are_compared_without_case_and_blanks_and_others_exactly(db, scope):
    email = next(namespace for namespace in namespaces.STANDARD if namespace.code == "Email")
    loyalty = await namespaces.create_namespace(db, scope, **LOYALTY)
    assert email.xid(scope.sandbox, " Ana@X.io ") == email.xid(scope.sandbox, "ana@x.io")
    assert loyalty.xid(scope.sandbox, "A1") != loyalty.xid(scope.sandbox, "a1")


async def test_one_value_has_unrelated_xids_in_two_sandboxes(db, scope):
    dev = await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)
    email = namespaces.STANDARD[2]
    assert email.xid(scope.sandbox, "ana@x.io") != email.xid(dev, "ana@x.io")


@pytest.mark.parametrize(
    ("change", "error", "path"),
    [
        ({"code": "Email"}, Taken, ["code"]),
        ({"code": ""}, Invalid, ["code"]),
        ({"code": " Loyalty"}, Invalid, ["code"]),
        ({"code": "x" * 65}, Invalid, ["code"]),
        ({"name": " "}, Invalid, ["name"]),
    ],
)
async def test_a_broken_rule_is_explained(db, scope, change, error, path):
    with pytest.raises(error) as caught:
        await namespaces.create_namespace(db, scope, **{**LOYALTY, **change})
    assert caught.value.path == path


async def test_only_names_and_descriptions_of_custom_namespaces_change(db, scope):
    namespace = await namespaces.create_namespace(
        db, scope, **LOYALTY, normalization=IdentityNormalization.TRIM_LOWERCASE
    )
    changed = await namespaces.update_namespace(db, scope, namespace.namespace_id, {"description": "Cards"})
    assert changed == replace(namespace, description="Cards", version=2, updated_at=changed.updated_at)
    assert changed in await namespaces.list_namespaces(db, scope)
    with pytest.raises(NotFound):
        await namespaces.update_namespace(db, scope, 6, {"name": "Mail"})


async def test_changing_namespaces_needs_config_write(db, scope):
    reader = replace(scope, permissions=frozenset({Permission.PROFILE_READ}))
    with pytest.raises(Forbidden):
        await namespaces.create_namespace(db, reader, **LOYALTY)


@pytest.mark.parametrize(
    ("code", "meant"),
    [
        *(("email", "Email"), ("EMAIL", "Email"), ("E-Mail", "Email"), ("Emial", "Email"), ("ecid", "ECID")),
        *(("phone", "Phone"), ("email_lc_sha256", "Email_LC_SHA256")),
        *(("Fax", None), ("", None), ("x" * 90_000, None), ("Household", None)),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_the_error_for_an_unknown_namespace_suggests_a_similar_one(module_world, code, meant):
    """In documents, look-ups, descriptors and settings. The error suggests to create the namespace only if no code is similar."""
    config = await module_world.config()
    said = config.unknown_namespace(code)
    assert ("Create it first" in said, f"Did you mean {meant!r}" in said) == (meant is None, meant is not None)
    assert len(said) < 200
    if code:
        with pytest.raises(BadInput) as looked_up:
            identities.resolve_xid(module_world.scope, config, code, "1")
        with pytest.raises(NotFound) as listed:
            await update_identity_settings(module_world.db, module_world.scope, [NamespaceRule(code, is_unique=False)])
        with pytest.raises(NotFound) as described:
            await registry.create_schema(
                module_world.db,
                module_world.scope,
                title="Other",
                xdm_class=XdmClass.INDIVIDUAL_PROFILE,
                identities=[registry.IdentityDescriptor("personID", code)],
            )
        result = await module_world.records(record((code, "1")))
        sayings = [*(str(one.value) for one in (looked_up, listed, described)), result.failed[0].message]
        assert sayings == [said] * 4
