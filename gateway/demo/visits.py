"""Web visits of the demo, invented: of browsers that sign in, of browsers that several households share, and of strangers.

From its sign-in on, a browser's events name an e-mail address in addition to its ECID, which links the device with a person.
Strangers never sign in: they are persons with events and no records.
"""

from collections.abc import Iterator

from gateway.demo import synthetic
from gateway.demo.source import Document, Journey, instant

STRANGERS = 600
SHOP = "https://shop.example.com"
PAGES = (
    ("Home", "/", "home"),
    ("Weekly offers", "/offers", "offers"),
    ("Produce", "/departments/produce", "produce"),
    ("Meat", "/departments/meat", "meat"),
    ("Deli", "/departments/deli", "deli"),
    ("Bakery", "/departments/pastry", "pastry"),
    ("Flowers", "/departments/floral", "floral"),
    ("Rewards", "/rewards", "loyalty"),
)
SIGN_IN = ("Sign in", "/sign-in", "account")
BROWSERS = (("Firefox", "Linux", "desktop"), ("Chrome", "Windows", "desktop"), ("Safari", "iOS", "mobile"))


def visits(journey: Journey, tenant: str) -> Iterator[Document]:
    """Yield the page views of every browser: first of households, then of strangers."""
    for household in journey.households:
        device = synthetic.browser(household)
        if device:
            email = synthetic.crm_contact(household).email
            yield from _page_views(f"household-{household}", device, email, tenant)
    for stranger in range(1, STRANGERS + 1):
        yield from _page_views(f"stranger-{stranger}", synthetic.ecid("stranger", stranger), None, tenant)


def _page_views(visitor: str, device: str, email: str | None, tenant: str) -> Iterator[Document]:
    """Yield one to three visits of two to four pages; a visitor with an address signs in on its second page."""
    for seen, at in enumerate(_moments(visitor)):
        signs_in = email is not None and seen == 1
        yield {
            "_id": f"visit-{visitor}-{seen + 1}",
            "timestamp": instant(at),
            "eventType": "web.webpagedetails.pageViews",
            "producedBy": "synthetic",
            "identityMap": _identity_map(device, email if seen else None),
            "web": _page(*(SIGN_IN if signs_in else synthetic.choice(PAGES, "page", visitor, seen))),
            **_machine(device),
            f"_{tenant}": {"synthetic": ["*"]},
        }


def _moments(visitor: str) -> list[int]:
    """Return the times of a visitor's page views in order, in seconds since 1970: 45 s apart within a visit."""
    visits = range(1 + synthetic.number("visits", visitor) % 3)
    starts = sorted(synthetic.moment(2017, "visit", visitor, visit) for visit in visits)
    return [start + 45 * page for start in starts for page in range(2 + synthetic.number("pages", visitor, start) % 3)]


def _identity_map(device: str, email: str | None) -> Document:
    named: Document = {"ECID": [{"id": device, "primary": True}]}
    if email:
        named["Email"] = [{"id": email, "authenticatedState": "authenticated"}]
    return named


def _page(name: str, path: str, section: str) -> Document:
    page = {"name": name, "URL": f"{SHOP}{path}", "siteSection": section, "pageViews": {"value": 1}}
    return {"webPageDetails": page}


def _machine(device: str) -> Document:
    browser, system, kind = synthetic.choice(BROWSERS, "machine", device)
    environment = {"type": "browser", "operatingSystem": system, "browserDetails": {"name": browser}}
    return {"environment": environment, "device": {"type": kind}}
