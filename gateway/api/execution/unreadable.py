"""Values that JSON can write and nothing can store: half of a surrogate pair, a number beyond all doubles.

An ingested document with such a value is refused by itself, so a request may have them there, and nowhere else.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from graphql import (
    DocumentNode,
    GraphQLSchema,
    ListValueNode,
    OperationDefinitionNode,
    Undefined,
    ValueNode,
    VariableNode,
    get_named_type,
    value_from_ast_untyped,
)

from gateway.api.execution.fields import fields_of

DOCUMENTS: Final = "documents"
"""The field of TAKING that has the documents, and of no other input type."""
TAKING: Final = {"IngestRecordsInput", "IngestEventsInput"}


def is_readable(value: Any) -> bool:
    """Return whether the value can be written as JSON in UTF-8. A variable in it that is not given counts as null."""
    try:
        orjson.dumps(value, default=_of_absent)
    except TypeError:
        return False
    return True


def are_arguments_readable(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, given: Mapping[str, Any]
) -> bool:
    """Return whether all arguments of an operation's fields, but for documents to ingest, and values that it does not ask for can be
    written as JSON in UTF-8."""
    values, known = dict(given), {each.variable.name.value for each in operation.variable_definitions or ()}
    if not is_readable([value for name, value in given.items() if name not in known]):
        return False
    for each in fields_of(schema, document, operation):
        for argument in each.node.arguments or ():
            takes = get_named_type(each.field.args[argument.name.value].type).name in TAKING
            read = _without_documents if takes else value_from_ast_untyped
            if not is_readable(read(argument.value, values)):
                return False
    return True


def _without_documents(node: ValueNode, values: dict[str, Any]) -> Any:
    """Return an input that takes documents, without those that are values of variables as they stand."""
    value = value_from_ast_untyped(node, values)
    if not isinstance(value, dict):
        return value
    stated = [each.value for each in getattr(node, "fields", ()) if each.name.value == DOCUMENTS]
    items = [item for each in stated for item in (each.values if isinstance(each, ListValueNode) else [each])]
    rest = [value_from_ast_untyped(item, values) for item in items if not isinstance(item, VariableNode)]
    return {**value, DOCUMENTS: rest}


def _of_absent(value: Any) -> None:
    if value is not Undefined:
        raise TypeError
