"""Documents: parsed, held to the limits and validated once, then kept as long as they are in use.

What is kept holds for one document and one shape of schema, whatever the variables, and with it what is found out about its operations.
A refused document is not kept.
"""

from collections import OrderedDict
from typing import Final

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    parse,
    validate,
)

from gateway.api.execution.limits import Limits, check
from gateway.api.execution.prepared import Prepared
from gateway.api.execution.schemas import SandboxSchema
from gateway.api.execution.stages import Stages
from gateway.errors import LimitExceeded

KEPT_CHARACTERS: Final = 1_000_000
"""How much text stays parsed; a character takes about forty bytes."""

_TOO_MANY_TOKENS: Final = "tokens. Parsing aborted"


class ParseFailed(Exception):
    """The text is not GraphQL."""

    def __init__(self, error: GraphQLError) -> None:
        super().__init__(error.message)
        self.errors = [error]


class ValidationFailed(Exception):
    """The document asks for what the schema does not have."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class Document:
    """A valid document's operations."""

    def __init__(self, operations: list[Prepared]) -> None:
        self._by_name = {operation.name: operation for operation in operations}

    def operation(self, name: str | None) -> Prepared | None:
        """The operation of this name; without one, the only operation. None where that means none or several."""
        if name is None and len(self._by_name) == 1:
            return next(iter(self._by_name.values()))
        return self._by_name.get(name) if name is not None else None

    @property
    def plans(self) -> int:
        """How many plans are kept of it."""
        return sum(operation.plans for operation in self._by_name.values())


class Documents:
    """Valid documents by their text and the schema's digest, the least used forgotten first."""

    def __init__(self, limits: Limits, kept_characters: int = KEPT_CHARACTERS) -> None:
        self._limits = limits
        self._kept_characters = kept_characters
        self._kept: OrderedDict[tuple[str, bytes], Document] = OrderedDict()
        self._characters = 0

    def read(self, source: str, schema: SandboxSchema, stages: Stages) -> Document:
        """The document, valid for this schema. Raises LimitExceeded, ParseFailed, ValidationFailed."""
        key = (source, schema.digest)
        document = self._kept.get(key)
        if document is not None:
            self._kept.move_to_end(key)
            return document
        document = self._prepared(source, schema, stages)
        self._keep(key, document)
        return document

    @property
    def plans(self) -> int:
        """How many plans are kept of all documents."""
        return sum(document.plans for document in self._kept.values())

    def _prepared(self, source: str, schema: SandboxSchema, stages: Stages) -> Document:
        size = len(source.encode(errors="surrogatepass"))
        if size > self._limits.document_bytes:
            raise LimitExceeded(
                f"The document has {size:,} bytes; at most {self._limits.document_bytes:,} are allowed. Put values into variables."
            )
        stages.begin()
        node = self._parsed(source)
        check(node, self._limits)
        stages.end("parse")
        stages.begin()
        errors = validate(schema.graphql, node, max_errors=self._limits.errors, hide_suggestions=True)
        stages.end("validate")
        if errors:
            raise ValidationFailed(errors)
        return Document(
            [
                Prepared(schema.graphql, node, each, self._limits.errors)
                for each in node.definitions
                if isinstance(each, OperationDefinitionNode)
            ]
        )

    def _parsed(self, source: str) -> DocumentNode:
        try:
            return parse(source, max_lexical_tokens=self._limits.tokens, max_comments=self._limits.tokens)
        except GraphQLSyntaxError as error:
            if _TOO_MANY_TOKENS in error.message:
                raise LimitExceeded(
                    f"The document has more than {self._limits.tokens:,} tokens. Put values into variables."
                ) from error
            raise ParseFailed(error) from error

    def _keep(self, key: tuple[str, bytes], document: Document) -> None:
        self._kept[key] = document
        self._characters += len(key[0])
        while self._characters > self._kept_characters:
            (dropped, _), _ = self._kept.popitem(last=False)
            self._characters -= len(dropped)
