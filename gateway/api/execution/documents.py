"""Documents: parsed, measured and validated once, then kept while they are in use.

A kept document is valid for one digest of the schema and any values of its variables, and holds what is known about its operations.
A refused document is not kept. Documents are read in threads, long ones in one of their own; concurrent requests for one share its reading.
"""

from functools import partial
from typing import Final, NamedTuple, TypeAlias

from graphql import DocumentNode, GraphQLSyntaxError, OperationDefinitionNode, parse

from gateway.api.execution.errors import ParseFailed, ValidationFailed
from gateway.api.execution.limits import Limits, Size, measure, nodes_of, too_nested
from gateway.api.execution.prepared import Prepared
from gateway.api.execution.schemas import SandboxSchema
from gateway.api.execution.stages import Stages
from gateway.api.execution.validation import validation_errors
from gateway.errors import LimitExceeded
from gateway.runtime.cache import WeightedCache
from gateway.runtime.threads import DOCUMENTS, SHORT_DOCUMENTS, Once, Thread

MAX_CACHED_NODES: Final = 50_000
"""The most nodes of kept documents and plans; an operation with twenty fields has about 200 of them."""

NODE_BYTES: Final = 300
"""Bytes of memory of a node, about."""

SHORT_CHARACTERS: Final = 2_000
"""The most characters of a short document, which is read in ten milliseconds or so."""

SHORT_SELECTIONS: Final = 300
"""The most selections of a document that is compiled among short ones."""

NODES_PER_PLANNED_FIELD: Final = 5
"""The weight of a plan's field, in nodes of a document."""

_TOO_MANY_TOKENS: Final = "tokens. Parsing aborted"
_UNTERMINATED: Final = "Unterminated string"
_QUOTES: Final = ' A string with double quotes in it, such as a condition, stands in three of them, the last ones behind a space: """city = "Rome" """.'
_TOO_DEEP: Final = "nested too deeply. Parsing aborted"

Key: TypeAlias = tuple[str, bytes]


class Document:
    """The operations of a valid document. `key` is its text, and the digest of the schema that it is valid for."""

    def __init__(self, key: Key, operations: list[Prepared], size: Size) -> None:
        self.key = key
        self._by_name = {operation.name: operation for operation in operations}
        self._only = operations[0] if len(operations) == 1 else None
        self._size = size

    def operation(self, name: str | None) -> Prepared | None:
        """Return the operation with this name, or the only one for None. None where no or more than one operation is meant."""
        return self._only if name is None else self._by_name.get(name)

    @property
    def thread(self) -> Thread:
        """The thread in which its operations are compiled."""
        return DOCUMENTS if self._size.selections > SHORT_SELECTIONS else SHORT_DOCUMENTS

    @property
    def plans(self) -> int:
        """The number of plans that are kept of it."""
        return sum(operation.plans for operation in self._by_name.values())

    @property
    def weight(self) -> int:
        """The weight of it and its present plans in the cache, in nodes."""
        kept_bytes = sum(operation.kept_bytes for operation in self._by_name.values())
        return (
            self._size.nodes + self.plans * self._size.selections * NODES_PER_PLANNED_FIELD + kept_bytes // NODE_BYTES
        )


class _Held(NamedTuple):
    """A kept document, and the number of its plans when it was kept."""

    document: Document
    plans: int


class Documents:
    """A cache of valid documents by their text and the schema's digest, the least recently used dropped first; it counts their `plans`."""

    def __init__(self, limits: Limits, kept_nodes: int = MAX_CACHED_NODES) -> None:
        self.plans = 0
        self._limits = limits
        self._kept: WeightedCache[Key, _Held] = WeightedCache(kept_nodes, self._forgotten)
        self._reading: Once[Key, Document] = Once()

    async def read(self, source: str, schema: SandboxSchema, stages: Stages) -> Document:
        """Return the document of a text, valid for this schema. Raises LimitExceeded, ParseFailed, ValidationFailed, Unavailable."""
        held = self._kept.get((source, schema.digest))
        if held is not None:
            return held.document
        self._check_bytes(source)
        thread = DOCUMENTS if len(source) > SHORT_CHARACTERS else SHORT_DOCUMENTS
        prepare = partial(thread.run, self._prepared, source, schema, stages)
        document = await self._reading.do((source, schema.digest), prepare)
        self.keep(document)
        return document

    def keep(self, document: Document) -> None:
        """Put the document into the cache with the weight of its present plans."""
        held = _Held(document, document.plans)
        self.plans += held.plans
        self._kept.put(document.key, held, document.weight)

    def _forgotten(self, held: _Held) -> None:
        self.plans -= held.plans

    def _check_bytes(self, source: str) -> None:
        size = len(source.encode(errors="surrogatepass"))
        if size > self._limits.document_bytes:
            raise LimitExceeded(
                f"The document has {size:,} bytes; at most {self._limits.document_bytes:,} are allowed. Put values into variables."
            )

    def _prepared(self, source: str, schema: SandboxSchema, stages: Stages) -> Document:
        stages.begin("parse")
        node = self._parsed(source)
        _forget_tokens(node)
        size = measure(node, self._limits)
        stages.begin("validate")
        errors = validation_errors(schema.graphql, node, self._limits.errors)
        stages.end()
        if errors:
            raise ValidationFailed(errors)
        operations = [
            Prepared(schema.graphql, node, each, self._limits.errors)
            for each in node.definitions
            if isinstance(each, OperationDefinitionNode)
        ]
        return Document((source, schema.digest), operations, size)

    def _parsed(self, source: str) -> DocumentNode:
        try:
            return parse(source, max_lexical_tokens=self._limits.tokens, max_comments=self._limits.tokens)
        except GraphQLSyntaxError as error:
            if _TOO_MANY_TOKENS in error.message:
                raise LimitExceeded(
                    f"The document has more than {self._limits.tokens:,} tokens. Put values into variables."
                ) from error
            if _TOO_DEEP in error.message:
                raise too_nested(self._limits) from error
            at = next(iter(error.positions or ()), 0)
            if '"' in source[max(at - 1, 0) : at + 1] or _UNTERMINATED in error.message:
                error.message += _QUOTES
            raise ParseFailed([error]) from error


def _forget_tokens(document: DocumentNode) -> None:
    """Drop the tokens of all nodes, which are a third of the objects that the garbage collector would visit; positions stay.

    Tokens refer to those before and behind them. Apart, they are freed at once.
    """
    token = document.loc.start_token if document.loc else None
    while token is not None:
        token.prev, token = None, token.next
    for node in nodes_of(document):
        if node.loc is not None:
            del node.loc.start_token, node.loc.end_token
