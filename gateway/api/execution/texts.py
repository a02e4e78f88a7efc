"""Profiles as text: where the store finishes all that is selected of one, its JSON is put together here once, with places for the values.

That needs nothing of a profile but its entity, who it is, and a page of its events whose nodes the store finishes.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

import orjson
from graphql import FieldNode, GraphQLField, GraphQLObjectType, get_named_type
from graphql.execution.collect_fields import FieldDetails, GroupedFieldSet

from gateway.api.events import cursor_at, timeline_of
from gateway.api.execution.inputs import Arguments
from gateway.api.ids import global_id
from gateway.api.loaders import Value, WantedPage, WantedText
from gateway.domain.reading.profiles import AnyProfile, ProfileStatus, ResultText
from gateway.domain.reading.shapes import Shape
from gateway.domain.reading.timelines import Timeline
from gateway.domain.rules.keyset import Key
from gateway.errors import GatewayError

Below = Callable[[GraphQLObjectType, list[FieldDetails]], GroupedFieldSet]
"""The fields that are selected of an object, as the compiler collects them."""

Pages = Callable[[GraphQLObjectType, list[FieldDetails]], WantedPage | None]
"""What is wanted of a connection of events, if the store can finish its nodes."""

TYPENAME: Final = "__typename"
VALUE_HERE, STATUS_HERE = "<value>", "<status>"
"""Stand in a text where something else goes; no name has such characters."""


def _id(profile: AnyProfile, _: Timeline | None) -> str:
    return f'"{global_id("Profile", profile.policy.policy_id, profile.profile_id)}"'


def _profile_id(profile: AnyProfile, _: Timeline | None) -> str:
    return f'"{profile.profile_id}"'


def _of_profile(name: str) -> Value:
    get = attrgetter(name)
    return lambda profile, _: get(profile)


def _flag(name: str) -> Value:
    get = attrgetter(f"timeline.{name}")
    return lambda profile, _: "true" if get(profile) else "false"


def _cursor(name: str) -> Value:
    get = attrgetter(f"timeline.{name}")

    def cursor(profile: AnyProfile, timeline: Any) -> str:
        key: Key | None = get(profile)
        return "null" if key is None else f'"{cursor_at(timeline.asked.order, key)}"'

    return cursor


PROFILE: Final = {"id": _id, "profileId": _profile_id, "entity": _of_profile("entity")}
PAGE_INFO: Final = {
    "hasNextPage": _flag("has_next"),
    "hasPreviousPage": _flag("has_previous"),
    "startCursor": _cursor("first"),
    "endCursor": _cursor("last"),
}
NODES: Final = _of_profile("timeline.nodes")


class _NotFinished(Exception):
    """Something is selected that the store does not finish."""


def text_of(
    named: Any,
    details: list[FieldDetails],
    below: Below,
    pages: Pages,
    arguments: Callable[[GraphQLField, FieldNode], Arguments],
) -> WantedText | None:
    """How the profiles or results of a field are told as text, if they can be. `arguments` are those of a field where it stands."""
    writer = _Writer(below, pages, arguments)
    try:
        match named.name:
            case "Profile":
                return writer.text(writer.profile(named, details), {})
            case "ProfileResult":
                return writer.text(writer.result(named, details), _without(below(named, details), named.name))
    except _NotFinished:
        pass
    return None


def result_of(text: WantedText, shape: Shape) -> ResultText | None:
    """The same of results of which no more is told than the status, the entity, and behind it maybe a page of events."""
    if not text.without or text.values not in ((PROFILE["entity"],), (PROFILE["entity"], NODES)):
        return None
    return ResultText(shape, text.pattern.split("%s"), text.without)


def _without(fields: GroupedFieldSet, typename: str) -> dict[ProfileStatus, str]:
    """The texts of results that have no profile."""
    shown = {"status": STATUS_HERE, TYPENAME: typename}
    text = _dumped({key: shown.get(details[0].node.name.value) for key, details in fields.items()})
    return {status: text.replace(STATUS_HERE, status) for status in ProfileStatus}


class _Writer:
    """Writes selections down as plain data, and the values that go where `VALUE_HERE` stands. Raises _NotFinished."""

    def __init__(self, below: Below, pages: Pages, arguments: Callable[[GraphQLField, FieldNode], Arguments]) -> None:
        self._below = below
        self._pages = pages
        self._arguments = arguments
        self._values: list[Value] = []
        self._timeline: Callable[[Any], Timeline] | None = None

    def text(self, written: dict[str, Any], without: dict[ProfileStatus, str]) -> WantedText:
        pattern = _dumped(written).replace(f'"{VALUE_HERE}"', "%s")
        return WantedText(pattern, tuple(self._values), without, self._timeline)

    def result(self, parent: GraphQLObjectType, details: list[FieldDetails]) -> dict[str, Any]:
        written: dict[str, Any] = {}
        for key, inner in self._below(parent, details).items():
            match inner[0].node.name.value:
                case "status":
                    written[key] = ProfileStatus.FOUND
                case "profile":
                    written[key] = self.profile(get_named_type(parent.fields["profile"].type), inner)
                case name:
                    written[key] = self._other(parent, name, {})
        return written

    def profile(self, parent: Any, details: list[FieldDetails]) -> dict[str, Any]:
        written: dict[str, Any] = {}
        for key, inner in self._below(parent, details).items():
            match inner[0].node.name.value:
                case "events":
                    written[key] = self._events(parent.fields["events"], inner)
                case name:
                    written[key] = self._other(parent, name, PROFILE)
        return written

    def _events(self, field: GraphQLField, details: list[FieldDetails]) -> dict[str, Any]:
        connection: Any = get_named_type(field.type)
        page = self._pages(connection, details)
        if page is None or self._timeline is not None:  # of two pages each would need a statement of its own shape
            raise _NotFinished
        self._timeline = _reader(self._arguments(field, details[0].node), page)
        written: dict[str, Any] = {}
        for key, inner in self._below(connection, details).items():
            match inner[0].node.name.value:
                case "pageInfo":
                    written[key] = self._page_info(get_named_type(connection.fields["pageInfo"].type), inner)
                case name:
                    written[key] = self._other(connection, name, {"nodes": NODES})
        return written

    def _page_info(self, parent: Any, details: list[FieldDetails]) -> dict[str, Any]:
        fields = self._below(parent, details).items()
        return {key: self._other(parent, inner[0].node.name.value, PAGE_INFO) for key, inner in fields}

    def _other(self, parent: GraphQLObjectType, name: str, values: dict[str, Value]) -> str:
        if name == TYPENAME:
            return parent.name
        if name not in values:
            raise _NotFinished
        self._values.append(values[name])
        return VALUE_HERE


def _reader(arguments: Arguments, page: WantedPage) -> Callable[[Any], Timeline]:
    """What reads the page that is asked for: once, if no variable is in it. Raises _NotFinished if that is wrong in every request."""

    def read(variables: Any) -> Timeline:
        return timeline_of(page, **arguments.read(variables))

    if not arguments.is_fixed:
        return read
    try:
        timeline = read(None)
    except GatewayError as error:
        raise _NotFinished from error
    return lambda _: timeline


def _dumped(written: dict[str, Any]) -> str:
    return orjson.dumps(written).decode()
