"""The documents of each dataset of the demo, in each run the same in the same order: to load them twice changes nothing."""

from collections.abc import Callable, Iterator, Mapping

from gateway.demo import campaigns, people, purchases, visits
from gateway.demo.source import Document, Journey
from gateway.errors import BadInput

_MAKERS: Mapping[str, Callable[[Journey, str], Iterator[Document]]] = {
    "crm": people.crm,
    "loyalty": people.loyalty,
    "campaigns": campaigns.campaigns,
    "visits": visits.visits,
}


def documents(journey: Journey, dataset_key: str, *, full: bool = False, tenant: str = "demo") -> Iterator[Document]:
    """Yield the documents of one dataset. They may share parts: do not change them. Raises BadInput for an unknown dataset.

    `full` adds the purchases that the default load leaves out; it changes none of the default's documents.
    """
    if dataset_key == "purchases":
        return purchases.purchases(journey, tenant, full=full)
    return _maker(dataset_key)(journey, tenant)


def count(journey: Journey, dataset_key: str, *, full: bool = False) -> int:
    """Return how many documents `documents` yields. Raises BadInput for an unknown dataset."""
    if dataset_key == "purchases":
        return purchases.count(journey, full=full)
    return sum(1 for _ in _maker(dataset_key)(journey, "demo"))


def _maker(dataset_key: str) -> Callable[[Journey, str], Iterator[Document]]:
    if dataset_key not in _MAKERS:
        known = ", ".join(sorted({*_MAKERS, "purchases"}))
        raise BadInput(f"The demo has no dataset {dataset_key!r}. It has: {known}.")
    return _MAKERS[dataset_key]
