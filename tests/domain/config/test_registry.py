"""Schemas: their rules, that they only grow, and that schemas of a class agree."""

import asyncio
from dataclasses import fields, replace
from uuid import uuid4

import pytest

from gateway.domain.config import registry, sandboxes
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.registry import IdentityDescriptor
from gateway.domain.rules.scope import Permission, SandboxType
from gateway.errors import Conflict, Forbidden, Invalid, NotFound, Taken
from gateway.xdm.classes import XdmClass, field_groups

TEXT, WHOLE, MOMENT = {"type": "string"}, {"type": "integer"}, {"type": "string", "format": "date-time"}
FIELDS = {"number": TEXT, "visits": WHOLE, "since": MOMENT, "tags": {"type": "array", "items": TEXT}}
PRIMARY = IdentityDescriptor("_acme.number", "CORE", is_primary=True)
EMAIL = IdentityDescriptor("personalEmail.address", "Email")
PROFILE, EVENT = XdmClass.INDIVIDUAL_PROFILE, XdmClass.EXPERIENCE_EVENT


async def create(db, scope, **changes):
    given = {"title": "Customer", "xdm_class": PROFILE, "custom_fields": FIELDS, "identities": [PRIMARY, EMAIL]}
    return await registry.create_schema(db, scope, **given | changes)


async def stored(db, scope, schema):
    """Read the schema as a new process does."""
    return (await Configurations().read(db, scope)).schemas[schema.schema_id]


async def test_a_schema_has_all_field_groups_of_its_class_and_the_custom_fields_of_its_organization(db, scope):
    schema = await create(db, scope)
    assert await stored(db, scope, schema) == schema
    assert schema.version == 1
    assert schema.field_groups == tuple(group.name for group in field_groups(PROFILE))
    assert schema.json_schema["properties"].keys() >= {"person", "loyalty", "_acme", "identityMap"}
    assert schema.validator.is_valid({"person": {"name": {"firstName": "Ana"}}, "_acme": {"number": "1"}})
    assert not schema.validator.is_valid({"_acme": {"number": 1}})


async def test_chosen_groups_are_all_there_is(db, scope):
    schema = await create(db, scope, field_groups=["profile-loyalty", "profile-loyalty"], identities=[PRIMARY])
    assert schema.field_groups == ("profile-loyalty",)
    assert "person" not in schema.json_schema["properties"]


async def test_without_custom_fields_there_is_no_field_of_the_organization(db, scope):
    schema = await create(db, scope, custom_fields={}, identities=[])
    assert "_acme" not in schema.json_schema["properties"]


async def configured(db, scope):
    """Read all that the configuration says, as a new process does."""
    config = await Configurations().read(db, scope)
    return {field.name: getattr(config, field.name) for field in fields(config)}


@pytest.mark.parametrize(
    ("change", "error", "path"),
    [
        ({"title": " "}, Invalid, ["title"]),
        ({"field_groups": ["profile-hobbies"]}, Invalid, ["fieldGroups"]),
        ({"field_groups": ["experienceevent-web"]}, Invalid, ["fieldGroups"]),
        ({"custom_fields": {"a": {"type": "text"}}}, Invalid, ["customFields", "a"]),
        ({"custom_fields": [TEXT]}, Invalid, ["customFields"]),
        ({"custom_fields": ""}, Invalid, ["customFields"]),
        ({"identities": [IdentityDescriptor("_acme.nothing", "Email")]}, Invalid, ["identities", "0", "path"]),
        ({"identities": [EMAIL, IdentityDescriptor("", "Email")]}, Invalid, ["identities", "1", "path"]),
        ({"identities": [IdentityDescriptor("_acme", "Email")]}, Invalid, ["identities", "0", "path"]),
        ({"identities": [IdentityDescriptor("_acme.tags", "Email")]}, Invalid, ["identities", "0", "path"]),
        ({"identities": [IdentityDescriptor("_acme.since", "Email")]}, Invalid, ["identities", "0", "path"]),
        ({"identities": [IdentityDescriptor("_acme.number", "Card")]}, NotFound, ["identities", "0", "namespace"]),
        ({"identities": [IdentityDescriptor("_acme.number", "email")]}, NotFound, ["identities", "0", "namespace"]),
        ({"identities": [PRIMARY, replace(EMAIL, is_primary=True)]}, Invalid, ["identities"]),
        ({"identities": [EMAIL, replace(EMAIL, namespace_code="Phone")]}, Invalid, ["identities"]),
    ],
)
async def test_a_broken_rule_is_explained_and_leaves_all_as_it_was(db, scope, change, error, path):
    before = await configured(db, scope)
    with pytest.raises(error) as caught:
        await create(db, scope, **change)
    assert caught.value.path == path
    assert await configured(db, scope) == before


async def test_whole_numbers_can_be_identities(db, scope):
    schema = await create(db, scope, identities=[IdentityDescriptor("_acme.visits", "CORE", is_primary=True)])
    assert schema.primary == schema.identities[0]


async def test_a_title_is_taken_once_in_a_sandbox(db, scope):
    schema, other = await create(db, scope), await create(db, scope, title="Other")
    for change in (create(db, scope), registry.update_schema(db, scope, other.schema_id, title=schema.title)):
        with pytest.raises(Taken) as caught:
            await change
        assert caught.value.path == ["title"]
    dev = await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)
    await create(db, replace(scope, sandbox=dev))


# ------------------------------------------------------------------------------------------------ growth


async def test_what_is_given_changes_and_the_rest_stays(db, scope):
    schema = await create(db, scope, field_groups=["profile-personal-contact"], is_profile_enabled=False)
    grown = await registry.update_schema(
        db,
        scope,
        schema.schema_id,
        title="Client",
        add_field_groups=["profile-loyalty", "profile-personal-contact"],
        custom_fields={**FIELDS, "colour": TEXT},
        identities=[PRIMARY, EMAIL, IdentityDescriptor("_acme.colour", "CORE")],
        is_profile_enabled=True,
    )
    assert grown == await stored(db, scope, schema)
    assert (grown.title, grown.version, grown.is_profile_enabled) == ("Client", 2, True)
    assert grown.field_groups == ("profile-personal-contact", "profile-loyalty")
    assert grown.validator.is_valid({"_acme": {"number": "1", "colour": "red"}})
    same = await registry.update_schema(db, scope, schema.schema_id)
    assert same == grown


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"custom_fields": {"number": TEXT}}, ["customFields", "visits"]),
        ({"custom_fields": {}}, ["customFields"]),
        ({"custom_fields": {**FIELDS, "number": WHOLE}}, ["customFields", "number"]),
        ({"custom_fields": {**FIELDS, "number": {**TEXT, "maxLength": 3}}}, ["customFields", "number"]),
        ({"add_field_groups": ["hobbies"]}, ["addFieldGroups"]),
        ({"identities": [PRIMARY]}, ["identities"]),
        ({"identities": []}, ["identities"]),
        ({"identities": [PRIMARY, replace(EMAIL, namespace_code="Phone")]}, ["identities"]),
        ({"identities": [replace(PRIMARY, is_primary=False), EMAIL]}, ["identities"]),
        ({"identities": [replace(PRIMARY, is_primary=False), replace(EMAIL, is_primary=True)]}, ["identities"]),
        ({"is_profile_enabled": False}, ["enableForProfile"]),
    ],
)
async def test_what_does_more_than_add_is_refused(db, scope, change, path):
    schema = await create(db, scope)
    with pytest.raises(Invalid) as caught:
        await registry.update_schema(db, scope, schema.schema_id, **change)
    assert caught.value.path == path
    assert await stored(db, scope, schema) == schema


async def test_the_primary_identity_may_change_until_profile_is_enabled(db, scope):
    schema = await create(db, scope, is_profile_enabled=False)
    swapped = [replace(PRIMARY, is_primary=False), replace(EMAIL, is_primary=True)]
    changed = await registry.update_schema(db, scope, schema.schema_id, identities=swapped, is_profile_enabled=True)
    assert changed.primary == swapped[1]
    with pytest.raises(Invalid):
        await registry.update_schema(db, scope, schema.schema_id, identities=[PRIMARY, EMAIL])


# ------------------------------------------------------------------------------------------------ agreement


async def test_a_field_has_one_type_in_all_schemas_of_a_class(db, scope):
    await create(db, scope, is_profile_enabled=False)  # it may be enabled any day
    clash = {"number": WHOLE}
    with pytest.raises(Conflict, match=r"_acme\.number.*string") as caught:
        await create(db, scope, title="Clashing", custom_fields=clash, identities=[])
    assert caught.value.path == ["customFields", "number"]
    other = await create(db, scope, title="Other", custom_fields={"rank": WHOLE}, identities=[])
    with pytest.raises(Conflict):
        await registry.update_schema(db, scope, other.schema_id, custom_fields={"rank": WHOLE, "tags": TEXT})
    await create(db, scope, title="Event", xdm_class=EVENT, custom_fields=clash, identities=[])


async def test_two_schemas_at_once_cannot_both_have_their_way_with_a_field(db, scope):
    results = await asyncio.gather(
        create(db, scope, title="One", custom_fields={"a": TEXT}, identities=[]),
        create(db, scope, title="Two", custom_fields={"a": WHOLE}, identities=[]),
        return_exceptions=True,
    )
    assert sorted(isinstance(result, Conflict) for result in results) == [False, True]


async def test_an_unknown_schema_is_not_found_and_config_write_is_needed(db, scope):
    with pytest.raises(NotFound) as caught:
        await registry.update_schema(db, scope, uuid4(), title="New")
    assert caught.value.path == ["id"]
    reader = replace(scope, permissions=frozenset({Permission.PROFILE_READ, Permission.PROFILE_WRITE}))
    for change in (create(db, reader), registry.update_schema(db, reader, uuid4())):
        with pytest.raises(Forbidden, match="config:write"):
            await change


async def test_a_schema_of_another_sandbox_is_not_found(db, scope):
    schema = await create(db, scope)
    dev = await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)
    with pytest.raises(NotFound):
        await registry.update_schema(db, replace(scope, sandbox=dev), schema.schema_id, title="Mine")
