"""Subsets: what a selector takes of documents, as a projection."""

from gateway.domain.rules.selectors import Selector
from gateway.projection.tree import Computed, Items, Leaf, Node, Subset
from gateway.xdm.fields import COMPUTED, Field, below, names_below


def subset(selector: Selector, schema: Field) -> Subset:
    """Return what a selector takes of documents of a schema, as a projection. A field that the schema lacks takes nothing."""
    fields = ((name, inner, below(schema, name)) for name, inner in selector.items())
    return Subset(tuple((name, _taken(inner, field)) for name, inner, field in fields if field is not None))


def _taken(inner: Selector | None, field: Field) -> Node:
    if field.get(COMPUTED):
        return Computed(subset(dict.fromkeys(names_below(field)) if inner is None else inner, field))
    if inner is None:
        return Leaf("JSON")
    return Items(_taken(inner, field["items"])) if field["meta:xdmType"] == "array" else subset(inner, field)
