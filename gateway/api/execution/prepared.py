"""An operation of a valid document, with what is computed once for it: its cost, its checks, its variables, its plans."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, Literal

from graphql import (
    DirectiveNode,
    DocumentNode,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
)
from graphql.execution.values import VariableValues

from gateway.api.execution.argument_texts import AskedConditions, AskedSelectors
from gateway.api.execution.compiler import Plan, compile_operation
from gateway.api.execution.costs import Cost
from gateway.api.execution.inputs import Variables
from gateway.api.execution.limits import nodes_of
from gateway.api.execution.preconditions import Preconditions
from gateway.api.execution.stages import Stages
from gateway.domain.config.configuration import Configuration
from gateway.errors import BadInput
from gateway.runtime.cache import WeightedCache

MAX_CACHED_PLANS: Final = 16
"""The most plans kept of one operation: one for each set of values of the variables in `@skip` and `@include`."""


class Prepared:
    """One operation, for one schema. `name` is its name in the document, `is_query` whether it only reads."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, node: OperationDefinitionNode, max_errors: int
    ) -> None:
        self.schema = schema
        self.document = document
        self.node = node
        self.name = node.name.value if node.name else None
        self.kind: Literal["query", "mutation", "subscription"] = node.operation.value
        self.is_query = node.operation is OperationType.QUERY
        self._max_errors = max_errors
        self._plans: WeightedCache[tuple[Any, ...], Plan] = WeightedCache(MAX_CACHED_PLANS)

    @cached_property
    def cost(self) -> Cost:
        """Its cost, a function of its variables."""
        return Cost.of(self.schema, self.document, self.node)

    @cached_property
    def selectors(self) -> AskedSelectors | None:
        """The selectors among its arguments, None if there are none."""
        return AskedSelectors(self.schema, self.document, self.node) or None

    @cached_property
    def conditions(self) -> AskedConditions | None:
        """The conditions in PQL among its arguments, None if there are none."""
        return AskedConditions(self.schema, self.document, self.node) or None

    @cached_property
    def preconditions(self) -> Preconditions:
        """The pages, filters and policies among its arguments."""
        return Preconditions(self.schema, self.document, self.node)

    @cached_property
    def variables(self) -> Variables:
        """Its variables, with the coercion of their values."""
        return Variables(self.schema, self.node, self._max_errors)

    def read(self, given: Mapping[str, Any], config: Configuration) -> VariableValues:
        """Return the values of the variables, with which all preconditions hold. Raises VariablesRefused, LimitExceeded, BadInput."""
        values = self.variables.read(given)
        for name in self._flag_names:
            if values.coerced.get(name) is None:  # only a variable with a default can be
                raise BadInput(f"`${name}` decides what is selected, and must not be null.")
        self.preconditions.check(values, config)
        return values

    @property
    def plans(self) -> int:
        """The number of its kept plans."""
        return len(self._plans)

    @property
    def kept_bytes(self) -> int:
        """Bytes of the answers to introspection that are kept with its plans."""
        return sum(each.kept_bytes for plan in self._plans.values() for each in plan.introspections)

    def kept_plan(self, values: VariableValues) -> Plan | None:
        """Return the kept plan for these values of the variables, None where there is none yet."""
        return self._plans.get(self._flags(values))

    def compile(self, values: VariableValues, stages: Stages) -> Plan:
        """Return a new plan for these values of the variables. It runs in a thread; `keep` what it returns."""
        flags = dict(zip(self._flag_names, self._flags(values), strict=True))
        stages.begin("compile")
        try:
            return compile_operation(self.schema, self.document, self.node, flags)
        finally:
            stages.end()

    def keep(self, values: VariableValues, plan: Plan) -> Plan:
        """Keep a new plan for these values of the variables and return it, or the one that was made meanwhile.

        The reads of all its requests then have one projection, which is found without being compared node by node.
        """
        if (kept := self.kept_plan(values)) is not None:
            return kept
        self._plans.put(self._flags(values), plan)
        return plan

    def _flags(self, values: VariableValues) -> tuple[Any, ...]:
        names = self._flag_names
        return tuple(map(values.coerced.get, names)) if names else ()

    @cached_property
    def _flag_names(self) -> tuple[str, ...]:
        """The names of the variables that `@skip` and `@include` use."""
        directives = (node for node in nodes_of(self.document) if isinstance(node, DirectiveNode))
        values = [argument.value for directive in directives for argument in directive.arguments or ()]
        own = {each.variable.name.value for each in self.node.variable_definitions or ()}
        return tuple(sorted(own & {value.name.value for value in values if isinstance(value, VariableNode)}))
