"""Validation as graphql-core does it, which leaves nothing behind that only a collection of garbage would free.

Rules keep their own methods by the kind of node, and so refer to themselves. Where documents are never the same, each would leave a
thousand such objects, and once there are many everybody waits for their collection.
"""

from typing import Final

from graphql import DocumentNode, GraphQLError, GraphQLSchema, ParallelVisitor, TypeInfo, ValidationContext, visit
from graphql.utilities import TypeInfoVisitor
from graphql.validation import specified_rules

TOO_MANY: Final = "Too many validation errors, error limit reached. Validation aborted."


class _Aborted(Exception):
    """There are more errors than are listed."""


def validation_errors(schema: GraphQLSchema, document: DocumentNode, most: int) -> list[GraphQLError]:
    """Return what is wrong with a document that is within the limits: at most `most` errors, and another one that says that there are more."""
    errors: list[GraphQLError] = []

    def note(error: GraphQLError) -> None:
        if len(errors) == most:
            errors.append(GraphQLError(TOO_MANY))
            raise _Aborted
        errors.append(error)

    types = TypeInfo(schema)
    context = ValidationContext(schema, document, types, note, hide_suggestions=True)
    rules = [rule(context) for rule in specified_rules]
    together = ParallelVisitor(rules)
    walk = TypeInfoVisitor(types, together)
    try:
        visit(document, walk)
    except _Aborted:
        pass
    finally:
        for visitor in (walk, together, *rules):
            vars(visitor).clear()
    return errors
