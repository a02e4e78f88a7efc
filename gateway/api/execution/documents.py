"""Documents: parsed, held to the limits and validated once, then kept as long as they are in use.

What is kept holds for one document and one shape of schema, whatever the variables. A refused document is not kept.
"""

from collections import OrderedDict
from hashlib import sha256
from typing import Final

from graphql import DocumentNode, GraphQLError, GraphQLSyntaxError, parse, validate

from gateway.api.execution.limits import Limits, check
from gateway.api.execution.schemas import SandboxSchema
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


class Documents:
    """Valid documents by their text and the schema's digest, the least used forgotten first."""

    def __init__(self, limits: Limits, kept_characters: int = KEPT_CHARACTERS) -> None:
        self._limits = limits
        self._kept_characters = kept_characters
        self._kept: OrderedDict[tuple[bytes, bytes], tuple[DocumentNode, int]] = OrderedDict()
        self._characters = 0

    def read(self, source: str, schema: SandboxSchema) -> DocumentNode:
        """The document, valid for this schema. Raises LimitExceeded, ParseFailed, ValidationFailed."""
        text = source.encode(errors="surrogatepass")
        if len(text) > self._limits.document_bytes:
            raise LimitExceeded(
                f"The document has {len(text):,} bytes; at most {self._limits.document_bytes:,} are allowed. Put values into variables."
            )
        key = (sha256(text).digest(), schema.digest)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        document = self._checked(source, schema)
        self._keep(key, document, len(source))
        return document

    def _checked(self, source: str, schema: SandboxSchema) -> DocumentNode:
        document = self._parsed(source)
        check(document, self._limits)
        errors = validate(schema.graphql, document, max_errors=self._limits.errors, hide_suggestions=True)
        if errors:
            raise ValidationFailed(errors)
        return document

    def _parsed(self, source: str) -> DocumentNode:
        try:
            return parse(source, max_lexical_tokens=self._limits.tokens, max_comments=self._limits.tokens)
        except GraphQLSyntaxError as error:
            if _TOO_MANY_TOKENS in error.message:
                raise LimitExceeded(
                    f"The document has more than {self._limits.tokens:,} tokens. Put values into variables."
                ) from error
            raise ParseFailed(error) from error

    def _keep(self, key: tuple[bytes, bytes], document: DocumentNode, characters: int) -> None:
        self._kept[key] = (document, characters)
        self._characters += characters
        while self._characters > self._kept_characters:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._characters -= dropped
