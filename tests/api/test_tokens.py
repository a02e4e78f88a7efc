"""`issueProjectionToken`: for whom a token is issued, what it opens, and for how long."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from client import KEY, Client
from world import record

from gateway.api.ids import global_id
from gateway.domain.config.tokens import Binding
from gateway.domain.rules.keyset import Window
from gateway.domain.work.audit import AuditFilter, list_entries
from gateway.server.signing_keys import SigningKeys
from gateway.server.token_reader import TokenReader
from gateway.telemetry import ProjectionTokenIssued, listen

ISSUE = """mutation ($given: IssueProjectionTokenInput!) { issueProjectionToken(input: $given) {
  token expiresAt userErrors { code path } } }"""
ADA = {"key": {"namespace": "Email", "value": " Ada@Example.com"}}


async def issue(client, projection, identity, **given):
    given |= {
        "configurationId": global_id("ProjectionConfiguration", projection.configuration_id),
        "identity": identity,
    }
    return (await client.data(ISSUE, given=given, scopes=["profile:read"]))["issueProjectionToken"]


async def test_a_token_opens_one_projection_of_one_person_known_or_not(client):
    world = client.world
    projection = await world.project("site", "person.name")
    await world.records(record(("Email", "ada@example.com"), first_name="Ada"))
    known = {"xid": str(await world.xid("Email", "ada@example.com"))}
    read = TokenReader(SigningKeys(KEY)).read
    for identity, value in (
        (ADA, "ada@example.com"),
        (known, "ada@example.com"),
        ({"key": {"namespace": "Email", "value": "new@x.io"}}, "new@x.io"),
    ):
        issued = await issue(client, projection, identity)
        claims = await read(issued["token"])
        assert claims.bound_to == Binding(projection.configuration_id, "Email", value)
        assert (claims.permissions, claims.sandboxes) == ({"profile:read"}, {world.scope.sandbox.name})
        lifetime = datetime.fromisoformat(issued["expiresAt"]) - datetime.now(UTC)
        assert timedelta(minutes=59) < lifetime <= timedelta(hours=1)
    day = await issue(client, projection, ADA, expiresIn="PT24H")
    assert datetime.fromisoformat(day["expiresAt"]) - datetime.now(UTC) > timedelta(hours=23, minutes=59)


async def test_the_audit_log_has_the_first_token_of_an_hour_of_each_caller_and_configuration(client, later):
    world, issued = client.world, []
    site, cart = await world.project("site", "person.name"), await world.project("cart", "person")
    stop = listen(issued.append)
    entries = []
    for projection, actor, hours in (
        (site, "ann", 0),
        (site, "ann", 0),
        (site, "bob", 0),
        (cart, "bob", 0),
        (cart, "bob", 2),
    ):
        of = replace(world, db=await later(timedelta(hours=hours)), scope=replace(world.scope, actor=actor))
        for _ in range(2):
            await issue(Client.of(of), projection, ADA)
        rows = await list_entries(world.db, world.scope, AuditFilter(action="issueProjectionToken"), Window(10))
        entries.append([(one.actor, one.subject.key) for one in rows.items])
    stop()
    assert [len(each) for each in entries] == [1, 1, 2, 3, 4]
    of_site, of_cart = [(f"{each.configuration_id}",) for each in (site, cart)]
    assert entries[-1] == [("bob", of_cart), ("bob", of_cart), ("bob", of_site), ("ann", of_site)]
    assert sum(isinstance(each, ProjectionTokenIssued) for each in issued) == 10


async def test_no_token_is_issued_for_what_cannot_be(client):
    world = client.world
    projection = await world.project("site", "person.name")

    async def refused(identity=ADA, **given):
        issued = await issue(client, projection, identity, **given)
        assert (issued["token"], issued["expiresAt"]) == (None, None)
        return tuple(issued["userErrors"][0].values())

    for long in ("P2D", "PT86401S", "P1M"):
        assert await refused(expiresIn=long) == ("INVALID", ["expiresIn"])
    assert await refused({"key": {"namespace": "Mail", "value": "x"}}) == ("INVALID", ["identity", "key", "namespace"])
    assert await refused({"key": {"namespace": "Email", "value": "null"}}) == ("INVALID", ["identity", "key", "value"])
    assert await refused({"xid": str(await world.xid("Email", "nobody@x.io"))}) == ("NOT_FOUND", ["identity", "xid"])
    await world.records(record(("Email", "ada@example.com"), first_name="Ada"))
    xid = await world.xid("Email", "ada@example.com")
    await world.erase(xid)
    assert await refused({"xid": str(xid)}) == ("NOT_FOUND", ["identity", "xid"])
    missing = {"configurationId": global_id("ProjectionConfiguration", world.crm.dataset_id), "identity": ADA}
    answer = (await client.data(ISSUE, given=missing))["issueProjectionToken"]
    assert answer["userErrors"] == [{"code": "NOT_FOUND", "path": ["configurationId"]}]
    error = await client.error(ISSUE, given=missing, scopes=["config:write"])
    assert error["extensions"]["code"] == "FORBIDDEN"
