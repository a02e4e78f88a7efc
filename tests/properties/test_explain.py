"""The explanation of a value is right: its rule applied to its candidates gives the value that the profile shows."""

from datetime import datetime

from client import Client
from hypothesis import given
from properties.histories import VALUES, by_examples, histories

from gateway.api.ids import global_id
from gateway.domain.rules.merge import canonical

CREATE = "mutation ($given: MergePolicyInput!) { createMergePolicy(input: $given) { mergePolicy { id } userErrors { message } } }"
READ = """
query ($identities: [IdentityInput!]!, $policy: ID!) {
  profiles(identities: $identities, mergePolicyId: $policy) {
    profile {
      mergePolicy { attributeMerge { order { id } } }
      entityJson
      names: explain(select: "person.name,personalEmail.label") { ...Told }
      explain { ...Told }
    }
  }
}
fragment Told on FieldProvenance { path value rule winner { ...Offer } candidates { ...Offer } }
fragment Offer on FieldCandidate { value at ingestedAt dataset { id } identity { xid } }
"""


async def policies_of(client):
    """Create one policy of each kind: with a graph or without, by time or by an order of all or of some datasets."""
    world = client.world
    data = await client.data("{ mergePolicies { nodes { id } } }")
    found = [node["id"] for node in data["mergePolicies"]["nodes"]]
    crm, loyalty = (global_id("Dataset", dataset.dataset_id) for dataset in (world.crm, world.loyalty))
    kinds = [
        ("NONE", "TIMESTAMP_ORDERED", None),
        ("PDG", "DATASET_PRECEDENCE", [loyalty, crm]),
        ("NONE", "DATASET_PRECEDENCE", [loyalty]),
    ]
    for graph, rule, order in kinds[len(found) - 1 :]:
        given = {"name": f"{graph} {rule}", "identityGraph": graph, "attributeMerge": {"type": rule, "order": order}}
        found.append((await client.changed(CREATE, given))["mergePolicy"]["id"])
    return found


def newest_first(offer):
    return tuple(-datetime.fromisoformat(offer[name]).timestamp() for name in ("at", "ingestedAt"))


def first(offers):
    """Return the offers that come before all others by what they state; the places of their documents in a call decide among them."""
    best = min(map(newest_first, offers))
    return [offer for offer in offers if newest_first(offer) == best]


def chosen(explained, order):
    """Return the offers of which the stated rule may choose one."""
    offers = [*([explained["winner"]] if explained["winner"] else []), *explained["candidates"]]
    newest = max(offer["at"] for offer in offers)
    match explained["rule"]:
        case "ONLY_CANDIDATE":
            assert len(offers) == 1
            return offers
        case "NEWEST":
            (offer,) = [offer for offer in offers if offer["at"] == newest]
            return [offer]
        case "DATASET_ORDER":
            best = min((offer["dataset"]["id"] for offer in offers), key=order.index)
            return first([offer for offer in offers if offer["dataset"]["id"] == best])
        case "TIE_BREAK":
            return first([offer for offer in offers if offer["at"] == newest])
    assert (explained["rule"], explained["winner"]) == ("UNION", None)
    return first(offers)


def path(explained):
    return explained["path"]


def put_together(explained):
    """Make a document of these values."""
    document = {}
    for each in explained:
        place = document
        for key in each["path"][:-1]:
            place = place.setdefault(key, {})
        place[each["path"][-1]] = each["value"]
    return document


@by_examples
@given(history=histories())
async def test_the_stated_rule_chooses_the_value_of_the_profile_among_the_stated_candidates(replay, history):
    await replay.empty()
    await replay.run(history)
    client = Client.of(replay.world)
    identities = [{"key": {"namespace": code, "value": value}} for code, values in VALUES.items() for value in values]
    for policy in await policies_of(client):
        answer = await client.data(READ, identities=identities, policy=policy)
        for profile in [each["profile"] for each in answer["profiles"] if each["profile"]]:
            order = [dataset["id"] for dataset in profile["mergePolicy"]["attributeMerge"]["order"] or []]
            for explained in profile["explain"]:
                offers = chosen(explained, order)
                assert canonical(explained["value"]) in [canonical(offer["value"]) for offer in offers]
                assert explained["winner"] in (*offers, None)
            entity = {key: value for key, value in profile["entityJson"].items() if key != "identityMap"}
            assert canonical(put_together(profile["explain"])) == canonical(entity)
            named = [
                explained for explained in profile["explain"] if explained["path"][0] in {"person", "personalEmail"}
            ]
            assert sorted(profile["names"], key=path) == sorted(named, key=path)
