"""Field groups: what the gateway ships, by the names that schemas take."""

from gateway.xdm.classes import XdmClass, compose, field_groups

GROUPS = "query ($class: XdmClass) { fieldGroups(class: $class) { name title class jsonSchema } }"


async def test_each_group_has_the_fields_that_it_brings_to_a_schema(client):
    told = (await client.data(GROUPS))["fieldGroups"]
    assert [group["name"] for group in told] == [group.name for each in XdmClass for group in field_groups(each)]
    for group in told:
        xdm_class = XdmClass[group["class"]]
        alone, bare = compose(xdm_class, [group["name"]], None, ""), compose(xdm_class, [], None, "")
        assert group["title"]
        assert bare["properties"] | group["jsonSchema"]["properties"] == alone["properties"]


async def test_schemas_of_a_class_take_all_groups_of_the_class(client):
    create = "mutation ($given: CreateSchemaInput!) { createSchema(input: $given) { schema { fieldGroups } userErrors { path message } } }"
    for xdm_class in XdmClass:
        names = [group["name"] for group in (await client.data(GROUPS, **{"class": xdm_class.name}))["fieldGroups"]]
        given = {"title": f"All of {xdm_class.name}", "class": xdm_class.name, "fieldGroups": names}
        assert (await client.changed(create, given))["schema"]["fieldGroups"] == names
