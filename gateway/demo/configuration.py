"""The configuration that a sandbox needs for the demo: namespaces, schemas, datasets, merge policies and computed attributes, as data."""

from typing import Any, NamedTuple

from gateway.xdm.classes import XdmClass


class Namespace(NamedTuple):
    """A custom identity namespace. The demo also uses the standard ones Email and ECID."""

    code: str
    name: str
    id_type: str
    description: str


class Descriptor(NamedTuple):
    """An identity descriptor: the field at a dotted path is an identity. `{tenant}` in the path stands for the organization's code."""

    path: str
    namespace: str
    is_primary: bool = False

    def path_of(self, tenant: str) -> str:
        """Return the path in an organization of this code."""
        return self.path.format(tenant=tenant)


class Schema(NamedTuple):
    """Standard field groups of one class, and custom fields that go under `_{tenant}`. Events name their identities in identityMap."""

    key: str
    title: str
    xdm_class: XdmClass
    field_groups: tuple[str, ...]
    custom_fields: dict[str, Any]
    identities: tuple[Descriptor, ...] = ()


class Dataset(NamedTuple):
    """A dataset of one source. Its `key` is its name in the catalogue; its `schema` is a schema's key."""

    key: str
    name: str
    description: str
    schema: str


class MergePolicy(NamedTuple):
    """A merge policy in addition to the sandbox's default one. `order` lists dataset keys, most trusted first."""

    name: str
    identity_graph: str
    attribute_merge: str
    order: tuple[str, ...] = ()


class Attribute(NamedTuple):
    """A computed attribute, which is published. `lookback` is an ISO duration; None where events of any age count."""

    name: str
    display_name: str
    expression: str
    lookback: str | None = None


def _text(title: str, description: str, **constraints: Any) -> dict[str, Any]:
    return {"type": "string", "title": title, "description": description, **constraints}


def _whole(title: str, description: str) -> dict[str, Any]:
    return {"type": "integer", "title": title, "description": description, "minimum": 0, "maximum": 2_147_483_647}


def _group(title: str, description: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "title": title, "description": description, "properties": properties}


_SYNTHETIC = {
    "type": "array",
    "title": "Synthetic paths",
    "description": "Dotted paths of this document that are invented for the demo and not in The Complete Journey; * means all of it.",
    "items": _text("Path", "A dotted path, or * for the whole document."),
}
_HOUSEHOLD_NUMBER = _text("Household number", "Number of the household in The Complete Journey, from 1 to 2500.")
_DEMOGRAPHICS = _group(
    "Demographics",
    "What The Complete Journey knows about 801 of its households, in its own words.",
    ageGroup=_text("Age group", "Estimated age range, such as 45-54."),
    incomeRange=_text("Income range", "Household income, such as 50-74K."),
    homeOwnership=_text("Home ownership", "Homeowner, renter, or probably one of them."),
    maritalStatus=_text(
        "Marital status as reported", "Married or Unmarried; only the first maps to person.maritalStatus."
    ),
    householdSize=_text("Household size", "Number of people, 5+ at most."),
    composition=_text("Composition", "Adults and kids, such as 2 Adults Kids."),
    kids=_text("Kids", "Number of children, 3+ at most."),
)

NAMESPACES = (
    Namespace(
        "Household",
        "Household number",
        "CROSS_DEVICE",
        "Number of a household in the customer database of the grocery chain.",
    ),
    Namespace("Loyalty", "Loyalty card", "CROSS_DEVICE", "Number on the loyalty card (synthetic)."),
)

_PERSON_GROUPS = ("profile-person-details", "profile-personal-contact", "profile-external-source-audit")

SCHEMAS = (
    Schema(
        "household",
        "Household",
        XdmClass.INDIVIDUAL_PROFILE,
        _PERSON_GROUPS,
        {"householdNumber": _HOUSEHOLD_NUMBER, "demographics": _DEMOGRAPHICS, "synthetic": _SYNTHETIC},
        (
            Descriptor("_{tenant}.householdNumber", "Household", is_primary=True),
            Descriptor("personalEmail.address", "Email"),
        ),
    ),
    Schema(
        "loyalty-member",
        "Loyalty member",
        XdmClass.INDIVIDUAL_PROFILE,
        (*_PERSON_GROUPS, "profile-loyalty"),
        {
            "loyaltyNumber": _text("Loyalty number", "Number on the loyalty card."),
            "householdNumber": _HOUSEHOLD_NUMBER,
            "synthetic": _SYNTHETIC,
        },
        (
            Descriptor("_{tenant}.loyaltyNumber", "Loyalty", is_primary=True),
            Descriptor("personalEmail.address", "Email"),
            Descriptor("_{tenant}.householdNumber", "Household"),
        ),
    ),
    Schema(
        "purchase",
        "Purchase",
        XdmClass.EXPERIENCE_EVENT,
        ("experienceevent-commerce", "experienceevent-product-list-items"),
        {
            "store": _group(
                "Store",
                "Where and in which week of the study the basket was paid.",
                storeID=_text("Store number", "Number of the store in The Complete Journey."),
                week=_whole("Week", "Week of the study, from 1 to 53."),
            ),
            "basket": _group(
                "Basket",
                "The basket as a whole.",
                lineCount=_whole("Lines", "How many lines the basket has; an event carries at most ten of them."),
            ),
            "synthetic": _SYNTHETIC,
        },
    ),
    Schema(
        "campaign-event",
        "Campaign event",
        XdmClass.EXPERIENCE_EVENT,
        ("experienceevent-marketing", "experienceevent-direct-marketing", "experienceevent-commerce"),
        {
            "campaign": _group(
                "Campaign",
                "When the campaign ran.",
                startDate=_text("First day", "First day of the campaign.", format="date"),
                endDate=_text("Last day", "Last day of the campaign.", format="date"),
            ),
            "synthetic": _SYNTHETIC,
        },
    ),
    Schema(
        "web-visit",
        "Web visit",
        XdmClass.EXPERIENCE_EVENT,
        ("experienceevent-web", "experienceevent-environment", "experienceevent-device"),
        {"synthetic": _SYNTHETIC},
    ),
)

DATASETS = (
    Dataset(
        "crm",
        "Household demographics (CRM)",
        "All 2,469 households of The Complete Journey, 801 of them with real demographics. Names, e-mail addresses, telephones, "
        "postal addresses and times of change are synthetic.",
        "household",
    ),
    Dataset(
        "loyalty",
        "Loyalty programme",
        "Synthetic: three households of four as a loyalty programme might know them. It disagrees with the CRM on names, telephones "
        "and addresses; four members of five share the CRM's e-mail address, the others give their household number.",
        "loyalty-member",
    ),
    Dataset(
        "purchases",
        "Purchases",
        "Real baskets of 2017 from The Complete Journey, with their true totals and at most ten lines in an event. The default load "
        "brings the newest 100 baskets of each household and their first ten lines; --full brings every line. Device ids (ECID) are synthetic.",
        "purchase",
    ),
    Dataset(
        "campaigns",
        "Campaigns and coupons",
        "Real campaigns and coupon redemptions of The Complete Journey. That campaigns came by e-mail, at midnight of their first day, "
        "is an assumption.",
        "campaign-event",
    ),
    Dataset(
        "visits",
        "Web visits (synthetic)",
        "Synthetic: page views in a web shop that does not exist. Some browsers sign in and so join a household; 600 never do.",
        "web-visit",
    ),
)

MERGE_POLICIES = (
    MergePolicy("CRM first", "PDG", "DATASET_PRECEDENCE", ("crm", "loyalty")),
    MergePolicy("No stitching", "NONE", "TIMESTAMP_ORDERED"),
)

_PURCHASES = 'xEvent[eventType = "commerce.purchases"]'
_FAVOURITE = '.groupBy(categoryName).map((K, G) => {"category": K, "items": G.count()}).topN(items, 1).head().category'

ATTRIBUTES = (
    Attribute("lifetimeValue", "Lifetime value", f"{_PURCHASES}.sum(commerce.order.priceTotal)"),
    Attribute("purchases30Days", "Purchases of 30 days", f"{_PURCHASES}.count()", "P30D"),
    Attribute("averageBasket", "Average basket", f"{_PURCHASES}.average(commerce.order.priceTotal)"),
    Attribute(
        "favouriteCategory", "Favourite category", f"{_PURCHASES}.productListItems.productCategories{_FAVOURITE}"
    ),
    Attribute("lastVisit", "Last visit", 'xEvent[eventType = "web.webpagedetails.pageViews"].max(timestamp)'),
)
