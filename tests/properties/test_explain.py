"""Explain is the truth: whoever applies the stated rule to the stated candidates gets the value that the profile shows."""

from datetime import datetime

from client import Client
from hypothesis import given
from properties.histories import VALUES, by_examples, histories

from gateway.api.ids import global_id, parse_id
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
    """One of each kind: made of graphs or not, by time or by an order of all or of some datasets."""
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
    at, ingested_at = (datetime.fromisoformat(offer[name]).timestamp() for name in ("at", "ingestedAt"))
    return -at, -ingested_at, parse_id(offer["dataset"]["id"], "Dataset"), offer["identity"]["xid"]


def chosen(told, order):
    """What the rule in words chooses."""
    offers = [*([told["winner"]] if told["winner"] else []), *told["candidates"]]
    newest = max(offer["at"] for offer in offers)
    match told["rule"]:
        case "ONLY_CANDIDATE":
            (offer,) = offers
            return offer
        case "NEWEST":
            (offer,) = [offer for offer in offers if offer["at"] == newest]
            return offer
        case "DATASET_ORDER":
            best = min((offer["dataset"]["id"] for offer in offers), key=order.index)
            return min((offer for offer in offers if offer["dataset"]["id"] == best), key=newest_first)
        case "TIE_BREAK":
            return min((offer for offer in offers if offer["at"] == newest), key=newest_first)
    assert (told["rule"], told["winner"]) == ("UNION", None)
    return min(offers, key=newest_first)


def path(told):
    return told["path"]


def put_together(told):
    """The document that these values make."""
    document = {}
    for each in told:
        place = document
        for key in each["path"][:-1]:
            place = place.setdefault(key, {})
        place[each["path"][-1]] = each["value"]
    return document


@by_examples
@given(history=histories())
async def test_the_stated_rule_chooses_of_the_stated_candidates_what_the_profile_shows(telling, history):
    await telling.empty()
    await telling.tell(history)
    client = Client.of(telling.world)
    identities = [{"key": {"namespace": code, "value": value}} for code, values in VALUES.items() for value in values]
    for policy in await policies_of(client):
        answer = await client.data(READ, identities=identities, policy=policy)
        for profile in [each["profile"] for each in answer["profiles"] if each["profile"]]:
            order = [dataset["id"] for dataset in profile["mergePolicy"]["attributeMerge"]["order"] or []]
            for told in profile["explain"]:
                assert canonical(chosen(told, order)["value"]) == canonical(told["value"])
                assert told["winner"] in (chosen(told, order), None)
            entity = {key: value for key, value in profile["entityJson"].items() if key != "identityMap"}
            assert canonical(put_together(profile["explain"])) == canonical(entity)
            named = [told for told in profile["explain"] if told["path"][0] in {"person", "personalEmail"}]
            assert sorted(profile["names"], key=path) == sorted(named, key=path)
