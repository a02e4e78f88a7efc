"""Records of the demo: each household as the CRM and the loyalty programme know it. They disagree on purpose."""

from collections.abc import Iterator

from gateway.demo import synthetic
from gateway.demo.source import Document, Journey, Row, instant

INVENTED_CONTACT = ["person.name", "personalEmail", "mobilePhone", "homeAddress", "extSourceSystemAudit"]
DEMOGRAPHICS = {  # our name of a field: the source's column
    "ageGroup": "age",
    "incomeRange": "income",
    "homeOwnership": "home_ownership",
    "maritalStatus": "marital_status",
    "householdSize": "household_size",
    "composition": "household_comp",
    "kids": "kids_count",
}
TIERS = ((15_000, "Gold"), (5_000, "Silver"), (0, "Bronze"))


def crm(journey: Journey, tenant: str) -> Iterator[Document]:
    """Yield one CRM record for each household. A third have real demographics, the others only their number and a contact."""
    demographics = {row["household_id"]: row for row in journey.rows("demographics")}
    for household in journey.households:
        yield _crm_record(household, demographics.get(household, {}), tenant)


def loyalty(journey: Journey, tenant: str) -> Iterator[Document]:
    """Yield one record for each member of the loyalty programme: all of it is invented, except for the number of the household."""
    for household in journey.households:
        if synthetic.is_member(household):
            yield _loyalty_record(household, tenant)


def _crm_record(household: int, row: Row, tenant: str) -> Document:
    contact = synthetic.crm_contact(household)
    custom: Document = {"householdNumber": str(household), "synthetic": INVENTED_CONTACT}
    if row:
        custom["demographics"] = {field: row[column] for field, column in DEMOGRAPHICS.items() if column in row}
    record = {**_contact(contact, email_status="active"), f"_{tenant}": custom}
    if row.get("marital_status") == "Married":  # "Unmarried" could be single, divorced or widowed: it is not mapped
        record["person"]["maritalStatus"] = "married"
    if synthetic.number("audited", household) % 10:  # the others count as new as their ingestion
        record["extSourceSystemAudit"] = _last_updated("crm", household)
    return record


def _loyalty_record(household: int, tenant: str) -> Document:
    card = synthetic.loyalty_number(household)
    custom: Document = {"loyaltyNumber": card, "synthetic": [*INVENTED_CONTACT, "loyalty"]}
    if not synthetic.shares_email(household):
        custom["householdNumber"] = str(household)
    status = synthetic.choice(("active", "incomplete", "pending_verification"), "email status", household)
    record = {**_contact(synthetic.loyalty_contact(household), email_status=status), f"_{tenant}": custom}
    record["loyalty"] = _membership(household, card)
    if synthetic.number("card audited", household) % 3:
        record["extSourceSystemAudit"] = _last_updated("loyalty", household)
    return record


def _contact(contact: synthetic.Contact, *, email_status: str) -> Document:
    first, last, city = contact.first_name, contact.last_name, contact.city
    return {
        "person": {"name": {"firstName": first, "lastName": last, "fullName": f"{first} {last}"}},
        "personalEmail": {"address": contact.email, "status": email_status},
        "mobilePhone": {"number": contact.phone},
        "homeAddress": {"street1": contact.street, "city": city.name, "stateProvince": city.state, "countryCode": "US"},
    }


def _membership(household: int, card: str) -> Document:
    points = synthetic.number("points", household) % 25_000
    return {
        "loyaltyID": [card],
        "program": "Journey Rewards",
        "tier": next(tier for least, tier in TIERS if points >= least),
        "status": "enabled",
        "points": points,
        "joinDate": instant(synthetic.moment(2016, "join", household)),
    }


def _last_updated(system: str, household: int) -> Document:
    return {"lastUpdatedDate": instant(synthetic.moment(2017, system, household))}
