"""Documents of profiles and of events with the values of computed attributes, which are computed where they are selected and only then."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import orjson
import strawberry

from gateway.api.context import Context, Info, for_all
from gateway.api.selectors import SelectArgument, selector_of
from gateway.domain.config.attribute_programs import ATTRIBUTES_FIELD
from gateway.domain.config.configuration import Configuration
from gateway.domain.reading.attribute_documents import with_values_of_events, with_values_of_people
from gateway.domain.reading.events import Event
from gateway.domain.reading.profiles import Profile
from gateway.domain.rules import selectors
from gateway.domain.rules.merge import Document
from gateway.domain.rules.selectors import Selector
from gateway.runtime.slices import in_time_slices

_READ: Final[Mapping[type, Callable[..., Awaitable[list[Document]]]]] = {
    Profile: with_values_of_people,
    Event: with_values_of_events,
}


async def documents_with(
    context: Context, names: Sequence[str], records: Sequence[Profile] | Sequence[Event]
) -> list[Document]:
    """Return the documents of profiles, or of events, with the values of the attributes of these names."""
    place = context.db, context.scope, context.config, names
    documents = await _READ[type(records[0])](*place, records) if records else []
    own = f"_{context.config.tenant_code}"
    context.loaders.budget.spend(sum(len(orjson.dumps(each[own][ATTRIBUTES_FIELD])) for each in documents))
    return documents


async def _json_of_all(
    records: Sequence[Profile] | Sequence[Event], info: Info, *, select: SelectArgument = None
) -> list[Document]:
    selector = selector_of(info.context, select)
    if selector is None:
        return await in_time_slices(_document, records)
    names = attributes_selected(selector, info.context.config, type(records[0]))
    if names is None:
        return await in_time_slices(lambda record: selectors.apply(selector, _document(record)), records)
    documents = await documents_with(info.context, names, records)
    return await in_time_slices(partial(selectors.apply, selector), documents)


def _document(record: Any) -> Document:
    document: Document = record.document
    return document


@for_all(_json_of_all)
async def entity_json_of(record: strawberry.Parent[Any], info: Info, *, select: SelectArgument = None) -> Document:
    """Return what a selector takes of the document of a record; values of attributes only where it names them, or their object."""
    return (await _json_of_all([record], info, select=select))[0]


def attributes_selected(selector: Selector, config: Configuration, of: type) -> list[str] | None:
    """Return the names of the attributes that a selector names; None where it names neither them nor the object that they stand in."""
    published = [
        each.name for each in config.attributes.values() if each.is_published and each.is_of_people is (of is Profile)
    ]
    own = selector.get(f"_{config.tenant_code}")
    if not published or own is None or ATTRIBUTES_FIELD not in own:
        return None
    named = own[ATTRIBUTES_FIELD]
    return published if named is None else list(named)
