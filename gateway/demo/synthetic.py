"""Names, contacts and devices, which The Complete Journey lacks: invented, and in each run the same for a household.

Nothing here belongs to a real person. E-mail addresses end in example.com or example.org (RFC 2606), telephone numbers lie in
the range 555-0100 to 555-0199 that is reserved for fiction, and every document lists the invented paths
under `_{tenant}.synthetic`.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple, TypeVar

T = TypeVar("T")

# Two households that gave the CRM one e-mail address. No namespace is unique by default, so they become one person.
SHARED_EMAIL = (7, 8)
# Households that signed in on one browser: each group becomes one person too, through the device.
SHARED_BROWSERS = ((18, 22), (40, 42, 43))

FIRST_NAMES = (  # noqa: SIM905 - a word list reads better than one name a line
    "Katherine Robert Elizabeth William Margaret Michael Jennifer Joseph Susan Thomas Patricia Daniel Deborah Matthew "
    "Christine Anthony Rebecca Andrew Pamela Benjamin Victoria Samuel Theresa Gregory Maria Nicholas Angela Jonathan "
    "Cynthia Frederick Alexandra Timothy Josephine Leonard Gabriela Stephen"
).split()
LAST_NAMES = (  # noqa: SIM905 - a word list reads better than one name a line
    "Andersen Baker Castillo Dawson Ellison Fischer Garcia Harrington Ivanov Jackson Kowalski Lindgren Murphy Nakamura "
    "Okafor Peterson Quintana Robinson Schneider Thompson Ueda Vasquez Whitfield Xavier Young Zimmerman Bergstrom Cohen "
    "Delacroix Eriksson Fitzgerald Gupta Hoffman Jansen Kaplan Larsson McCarthy Novak Oconnor Petrov Reyes Sorensen"
).split()
STREETS = (
    "Maple Street",
    "Oak Avenue",
    "Washington Boulevard",
    "Lake Drive",
    "Church Street",
    "Park Lane",
    "Mill Road",
)


class City(NamedTuple):
    """A place to live, with the area code of its telephones."""

    name: str
    state: str
    area_code: str


CITIES = (
    City("Cincinnati", "OH", "513"),
    City("Columbus", "OH", "614"),
    City("Dayton", "OH", "937"),
    City("Toledo", "OH", "419"),
    City("Louisville", "KY", "502"),
    City("Lexington", "KY", "859"),
    City("Indianapolis", "IN", "317"),
    City("Fort Wayne", "IN", "260"),
)


class Contact(NamedTuple):
    """The contact data of a household in one system."""

    first_name: str
    last_name: str
    email: str
    phone: str
    street: str
    city: City


def number(*key: object) -> int:
    """Return a pseudo-random number below 2**128 that depends on the key alone."""
    return int.from_bytes(blake2b("|".join(map(str, key)).encode(), digest_size=16).digest(), "big")


def choice(options: Sequence[T], *key: object) -> T:
    """Return one of the options, chosen by the key alone."""
    return options[number(*key) % len(options)]


def crm_contact(household: int) -> Contact:
    """Return the contact of a household in the CRM."""
    first, last = choice(FIRST_NAMES, "first", household), choice(LAST_NAMES, "last", household)
    city = choice(CITIES, "city", household)
    return Contact(
        first, last, _email(household), _phone(city, number("phone", household)), _street("crm", household), city
    )


def loyalty_contact(household: int) -> Contact:
    """Return the contact of a household in the loyalty programme: misspelt, with another telephone, for some another address."""
    crm = crm_contact(household)
    city = choice(CITIES, "new city", household) if has_moved(household) else crm.city
    street = _street("loyalty", household) if has_moved(household) else crm.street
    first, last = _misspelt(crm.first_name, crm.last_name, number("spelling", household) % 4)
    phone = _phone(city, number("phone", household) + 1 + number("new phone", household) % 99)  # always another one
    email = crm.email if shares_email(household) else f"member{household}@example.org"
    return Contact(first, last, email, phone, street, city)


def is_member(household: int) -> bool:
    """Return whether a household is in the loyalty programme: three of four are, and all of _STORIES."""
    return household in _STORIES or number("member", household) % 4 > 0


def shares_email(household: int) -> bool:
    """Return whether a member gave the programme the e-mail address of the CRM: four of five did, the others gave their household number."""
    return household in _STORIES or number("address", household) % 5 > 0


def has_moved(household: int) -> bool:
    """Return whether a member gave the programme another postal address: one of three did."""
    return number("moved", household) % 3 == 0


def browser(household: int) -> str | None:
    """Return the ECID of the browser in which a household signs in to the web shop; None for every second household."""
    for group in SHARED_BROWSERS:
        if household in group:
            return ecid("browser", group[0])
    return ecid("browser", household) if household in _STORIES or number("browser", household) % 2 else None


def phone_app(household: int) -> str | None:
    """Return the ECID of the shop's app on a telephone, which every third household uses at the till; None for the others."""
    return ecid("app", household) if household in _STORIES or number("app", household) % 3 == 0 else None


def ecid(*key: object) -> str:
    """Return a device's id of exactly 38 digits, as the namespace ECID requires."""
    return f"{number('ecid', *key) % 10**38:038d}"


def loyalty_number(household: int) -> str:
    """Return the number on the loyalty card. Households have distinct ones, as 99,991 is prime."""
    return f"LC-{household * 7919 % 99_991:05d}"


def moment(year: int, *key: object) -> int:
    """Return a second of 2016 or 2017, in seconds since 1970."""
    start = {2016: 1_451_606_400, 2017: 1_483_228_800}[year]
    return start + number("moment", *key) % (365 * 86_400)


def _email(household: int) -> str:
    owner = SHARED_EMAIL[0] if household in SHARED_EMAIL else household
    first, last = choice(FIRST_NAMES, "first", owner), choice(LAST_NAMES, "last", owner)
    return f"{first}.{last}.{owner}@example.com".lower()


def _phone(city: City, line: int) -> str:
    return f"+1 {city.area_code} 555 01{line % 100:02d}"


def _street(*key: object) -> str:
    return f"{1 + number('house', *key) % 899} {choice(STREETS, 'street', *key)}"


def _misspelt(first: str, last: str, how: int) -> tuple[str, str]:
    """Return a first and a last name misspelt in one of four ways, `how` from 0 to 3."""
    ways = (
        (f"{first[0]}.", last),
        (first.upper(), last.upper()),
        (first[:3], last),
        (first, f"{last[:-2]}{last[-1]}{last[-2]}"),
    )
    return ways[how]


_STORIES = frozenset({1, *SHARED_EMAIL}.union(*SHARED_BROWSERS))
