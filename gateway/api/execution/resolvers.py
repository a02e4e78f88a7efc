"""Where the values of a column come from: the functions of the API's types, called for all parents of a level."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, Final

import orjson

from gateway.api.attribute_documents import documents_with
from gateway.api.context import CompiledInfo
from gateway.api.execution.columns import Resolver, Run, fill_in, parts_of
from gateway.api.execution.inputs import Arguments
from gateway.api.execution.lookahead import Lookahead
from gateway.api.finished import Finished
from gateway.projection.evaluate import evaluate
from gateway.projection.tree import Document, Node
from gateway.runtime.slices import in_time_slices

Fail = Callable[[Exception, int], Any]

FEW: Final = 10
"""Parents for whom a function is called before the clock is looked at."""


class Constant(Resolver):
    """One value for every parent."""

    waits = False

    def __init__(self, value: Any) -> None:
        self._value = value

    async def values(self, run: Run, parents: list[Any], fail: Fail) -> list[Any]:  # noqa: ARG002
        """Return the value for each parent."""
        return [self._value] * len(parents)


class Attribute(Resolver):
    """A plain field of a domain object."""

    waits = False

    def __init__(self, name: str) -> None:
        self._get = attrgetter(name)

    async def values(self, run: Run, parents: list[Any], fail: Fail) -> list[Any]:  # noqa: ARG002
        """Read the attribute of each parent."""
        return _read(self._get, parents, fail)


class Part(Resolver):
    """A part of the projection that was read of each parent, as JSON; of parents that were read whole, what the field resolves to."""

    waits = True

    def __init__(self, place: int, otherwise: Resolver) -> None:
        self._place = place
        self._otherwise = otherwise
        self.waits = otherwise.waits

    async def values(self, run: Run, parents: list[Any], fail: Fail) -> list[Any]:
        """Return the part of each parent."""
        read = list(map(parts_of, parents))
        texts = [None if parts is None else parts[self._place] for parts in read]
        values = [None if text is None else Finished(text) for text in texts]
        if None in read:
            whole = [number for number, parts in enumerate(read) if parts is None]
            some = [parents[number] for number in whole]
            found = await self._otherwise.values(run, some, lambda error, number: fail(error, whole[number]))
            fill_in(values, whole, found)
        return values


class Evaluated(Resolver):
    """A projection of records that were read whole."""

    waits = False

    def __init__(self, node: Node) -> None:
        self._node = node

    async def values(self, run: Run, parents: list[Any], fail: Fail) -> list[Any]:  # noqa: ARG002
        """Evaluate the projection of each parent."""
        return await _called(self._text, parents, fail)

    def _text(self, record: Any) -> Finished:
        return Finished(orjson.dumps(evaluate(self._node, record)).decode())


class WithAttributes(Resolver):
    """A part of documents to which the values of computed attributes are added, of records that were read whole."""

    waits = True

    def __init__(self, document: Document, names: Sequence[str]) -> None:
        self._wanted = document.of
        self._names = names

    async def values(self, run: Run, parents: list[Any], fail: Fail) -> list[Any]:
        """Compute the values for all parents together, and take what is wanted of each document."""
        try:
            documents = await documents_with(run.context, self._names, parents)
        except Exception as error:  # noqa: BLE001 (it stands where the values would)
            return [fail(error, index) for index in range(len(parents))]
        return await _called(self._text, documents, fail)

    def _text(self, document: Any) -> Finished:
        return Finished(orjson.dumps(evaluate(self._wanted, document)).decode())


class Function(Resolver):
    """A function of the API that takes the parent first, and arguments by name."""

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Arguments,
        selected: Lookahead | None,
        *,
        info: str | None,
        waits: bool,
    ) -> None:
        self._function = function
        self._for_all = getattr(function, "for_all", None)
        self._arguments = arguments
        self._selected = selected
        self._info = info
        self.waits = waits

    async def values(self, run: Run, parents: list[Any], fail: Fail) -> list[Any]:
        """Call the function for each parent, or for all."""
        try:
            given = self._given(run)
        except Exception as error:  # noqa: BLE001 (it stands where the values would)
            return [fail(error, index) for index in range(len(parents))]
        if self._for_all is not None:
            return await _all(self._for_all(parents, **given), len(parents), fail)
        function = partial(self._function, **given)
        if self.waits:
            return await _awaited([function(parent) for parent in parents], fail)
        return await _called(function, parents, fail)

    def _given(self, run: Run) -> dict[str, Any]:
        given = self._arguments.read(run.variables)
        if self._info is None:
            return given
        return {**given, self._info: CompiledInfo(run.context, self._selected, run.variables)}


class RootFunction(Function):
    """One of an operation's root: it takes no parent, and there is but one."""

    async def values(self, run: Run, parents: list[Any], fail: Fail) -> list[Any]:  # noqa: ARG002
        """Call the function."""
        try:
            value = self._function(**self._given(run))
            return _with_failures([await value if self.waits else value], fail)
        except Exception as error:  # noqa: BLE001 (it stands where the value would)
            return [fail(error, 0)]


async def _all(values: Awaitable[list[Any]], count: int, fail: Fail) -> list[Any]:
    try:
        return _with_failures(await values, fail)
    except Exception as error:  # noqa: BLE001 (it stands where the values would)
        return [fail(error, index) for index in range(count)]


async def _called(function: Callable[[Any], Any], parents: list[Any], fail: Fail) -> list[Any]:
    """An object that stands in several places is asked once."""
    keys = list(map(id, parents))
    distinct = dict(zip(keys, parents, strict=True))
    try:
        if len(distinct) == len(parents):
            return await _each(function, parents)
        found = dict(zip(distinct, await _each(function, list(distinct.values())), strict=True))
        return [found[key] for key in keys]
    except Exception:  # noqa: BLE001 (whose it is shows when each is asked alone)
        return await in_time_slices(lambda index: _one(function, parents[index], index, fail), range(len(parents)))


async def _each(function: Callable[[Any], Any], parents: list[Any]) -> list[Any]:
    """What the function gives for each; others have turns of the event loop in between where there are many."""
    if len(parents) <= FEW:
        return [function(parent) for parent in parents]
    pieces = [parents[begin : begin + FEW] for begin in range(0, len(parents), FEW)]
    return list(chain.from_iterable(await in_time_slices(lambda piece: [function(parent) for parent in piece], pieces)))


def _read(get: Callable[[Any], Any], parents: list[Any], fail: Fail) -> list[Any]:
    try:
        return list(map(get, parents))
    except Exception:  # noqa: BLE001 (whose it is shows when each is asked alone)
        return [_one(get, parent, index, fail) for index, parent in enumerate(parents)]


def _one(function: Callable[[Any], Any], parent: Any, index: int, fail: Fail) -> Any:
    try:
        return function(parent)
    except Exception as error:  # noqa: BLE001 (whatever it is, it concerns this one value)
        return fail(error, index)


async def _awaited(coroutines: list[Coroutine[Any, Any, Any]], fail: Fail) -> list[Any]:
    """Several go side by side, so that what they ask of a loader goes to the store in one call."""
    if len(coroutines) == 1:
        try:
            return _with_failures([await coroutines[0]], fail)
        except Exception as error:  # noqa: BLE001 (whatever it is, it concerns this one value)
            return [fail(error, 0)]
    return _with_failures(await asyncio.gather(*coroutines, return_exceptions=True), fail)


def _with_failures(values: list[Any], fail: Fail) -> list[Any]:
    """Return the values, with what `fail` gives in place of each error among them."""
    return [fail(value, index) if isinstance(value, Exception) else value for index, value in enumerate(values)]
